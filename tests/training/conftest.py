"""A small patch store and small training settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from blindsr import conf
from blindsr.datasets import patch_builder
from blindsr.datasets.indices import IndexedImage
from blindsr.datasets.patch_store import PatchStore
from blindsr.images import write_png
from blindsr.settings import DegradationParams, TrainParams

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, index_images: Callable[[Path], list[IndexedImage]]) -> PatchStore:
    """Two smooth random images of 200 x 260 and 180 x 240 px, patches of 160 px."""
    folder = tmp_path_factory.mktemp("store")
    generator = np.random.default_rng(1)
    for name, height, width in (("a", 200, 260), ("b", 180, 240)):
        coarse = generator.integers(20, 235, (height // 10, width // 10, 3), dtype=np.uint8)
        write_png(folder / f"{name}.png", cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    patch_builder.build(
        index_images(folder), folder, folder / "store",
        size=160, step=80, scale=4, smallest=64, state=folder / "state", workers=1,
    )  # fmt: skip
    return PatchStore(folder / "store")


@pytest.fixture(scope="session")
def composed() -> dict[str, Any]:
    """The composed settings of the embedded profile."""
    return conf.compose(ROOT / "conf")


@pytest.fixture(scope="session")
def degradation(composed: dict[str, Any]) -> DegradationParams:
    """The paper's degradation."""
    return DegradationParams.model_validate(composed["degradation"])


@pytest.fixture(scope="session")
def train_params(composed: dict[str, Any]) -> TrainParams:
    """Six iterations on two crops of 64 px."""
    small = {"iterations": 6, "batch": 4, "crop": 64, "window": 144, "log_every": 2}
    return TrainParams.model_validate(composed["train"] | small)
