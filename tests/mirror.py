"""Toy data sets, and what a mirror on loopback has of their host."""

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blindsr.acquisition.catalog import Manifest
from blindsr.config.schema import DataParams
from blindsr.data.images import write_png

HOST = "sets.example.org"


def data(**settings: Any) -> DataParams:
    return DataParams(**({"train": "Toy", "benchmarks": ["Toy"]} | settings))


def manifest(*found: dict[str, Any], **settings: Any) -> Manifest:
    base = {"name": "Toy", "role": "benchmark", "title": "t", "licence": "l", "sources": list(found)}
    return Manifest.model_validate(base | settings)


class Mirror(NamedTuple):
    """`folder` is what the mirror has of HOST; `asked` the paths it was asked for."""

    url: str
    folder: Path
    asked: list[str]


def png(value: int) -> bytes:
    write_png(Path("made.png"), np.full((8, 12, 3), value, np.uint8))
    content = Path("made.png").read_bytes()
    Path("made.png").unlink()
    return content


def raw(name: str = "Toy") -> list[str]:
    return sorted(path.name for path in (Path("data/raw") / name).glob("*"))


def zipped(content: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, body in content.items():
            archive.writestr(name, body)
    return made.getvalue()
