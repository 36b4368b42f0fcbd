"""The degradation of CONTRIBUTING.md, as it is printed there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from blindsr.config import registry
from blindsr.plugins import degradations
from blindsr.plugins.degradations.base import Degradation

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def printed() -> tuple[str, dict[str, Any]]:
    """The module and the conf entry."""
    section = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith("A degradation\n")]
    (code,), (settings,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "yaml"))
    return code, yaml.safe_load(settings)


@pytest.fixture
def degradation(
    printed: tuple[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Degradation[Any]:
    code, entry = printed
    (tmp_path / f"{entry['name']}.py").write_text(code)
    monkeypatch.setattr(degradations, "__path__", [*degradations.__path__, str(tmp_path)])
    made: Degradation[Any] = registry.build("degradation", entry["name"], entry["settings"])
    return made


def test_it_is_a_plug_in_that_degrades(degradation: Degradation[Any]) -> None:
    assert "classical" in registry.names("degradation")
    streams = [np.random.default_rng(number) for number in range(3)]
    draws = [degradation.draw(stream, 48, 64, 4) for stream in streams]
    assert len({drawn.noise.level for drawn in draws}) == 3
    states = [stream.bit_generator.state for stream in streams]
    hr = torch.rand(3, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    results = []
    for engine in ("exact", "canvas"):
        for stream, state in zip(streams, states, strict=True):
            stream.bit_generator.state = state
        results.append(degradation.apply(hr, draws, streams, 4, engine=engine))
    assert results[0].shape == (3, 3, 12, 16)
    assert ((results[0] - results[1]).abs() * 255).max() < 1.5  # a tie of rounding may fall either way
    assert ((results[0] - results[1]).abs() * 255 > 0.5).float().mean() < 1e-3


def test_its_settings_are_checked(printed: tuple[str, dict[str, Any]], degradation: Degradation[Any]) -> None:
    assert set(printed[1]["settings"]) == set(registry.settings("degradation", "classical"))
    with pytest.raises(ValueError, match="blur_sigma must be greater than 0"):
        registry.load("degradation", "classical")(blur_sigma=(0, 1))
