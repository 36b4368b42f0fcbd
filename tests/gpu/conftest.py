"""Where the tests of this folder run: on a GPU, or on the CPU if BLINDSR_GPU_TESTS=cpu says so, for a rehearsal."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.gpu_check import settings
from blindsr.acquisition import patch_builder
from blindsr.config.params import Params
from blindsr.config.schema import TrainParams
from blindsr.data.images import write_png
from blindsr.data.indices import IndexedImage
from blindsr.data.patch_store import PatchStore
from blindsr.runtime import devices


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The device that is held against the CPU, set up as for training; without one the test is skipped."""
    if torch.cuda.is_available():
        chosen = torch.device("cuda", 0)  # some of torch's functions want its number
        devices.make_repeatable(chosen)
        return chosen
    if os.environ.get("BLINDSR_GPU_TESTS") != "cpu":
        pytest.skip("there is no NVIDIA GPU (BLINDSR_GPU_TESTS=cpu rehearses on the CPU what makes sense there)")
    return torch.device("cpu")


@pytest.fixture(scope="session")
def cuda(device: torch.device) -> torch.device:
    """A GPU, for what only a GPU has."""
    if device.type != "cuda":
        pytest.skip("only a GPU has this")
    return device


@pytest.fixture(autouse=True)
def _one_thread(device: torch.device) -> Iterator[None]:
    """On a CPU, where networks this small gain nothing by more."""
    with devices.threads(1) if device.type == "cpu" else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session")
def small() -> Params:
    """The paper's settings with tiny networks."""
    return settings.params(True)


@pytest.fixture(scope="session")
def train_params(small: Params) -> TrainParams:
    """Eight iterations of four LR images."""
    more = {"iterations": 8, "crop": 32, "window": 96, "log_every": 4}
    return small.train.model_copy(update=more)


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
        size=160, step=80, scale=4, smallest=32, state=folder / "state", workers=1,
    )  # fmt: skip
    return PatchStore(folder / "store")
