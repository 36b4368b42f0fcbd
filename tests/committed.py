"""The committed settings, which are those of conf/ (`test_conf` holds them equal): to read them needs no Hydra."""

from pathlib import Path
from typing import Any

import yaml


def settings() -> dict[str, Any]:
    """The composed settings of the embedded profile, anew in each call."""
    composed: dict[str, Any] = yaml.safe_load((Path(__file__).resolve().parents[1] / "params.yaml").read_text())
    return composed
