"""Inference and validation on the device against the CPU: whole images, tiles, several at once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from subjects import backbone

from blindsr.config.params import Params
from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.model import inference
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.training.ema import Ema
from blindsr.training.validation import Validation

pytestmark = pytest.mark.gpu


def images(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (16, 24, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("tile", [None, 8, "auto"])
@pytest.mark.parametrize("name", ["srresnet", "swinir"])
def test_images_are_those_of_the_cpu_to_a_level(
    small: Params, device: torch.device, name: str, tile: inference.Tile, record_property: Callable
) -> None:
    network = backbone(small, name)
    wanted = list(inference.upscale_rgb(network, images(2), 4, tile, overlap=8))
    made = list(inference.upscale_rgb(network.to(device), images(2), 4, tile, overlap=8))
    off = np.abs(np.stack(made).astype(int) - np.stack(wanted))
    record_property("share of pixels off by a level", f"{float((off > 0).mean()):.1e}")
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-2
    for ours, theirs in zip(made, wanted, strict=True):
        reference = np.ascontiguousarray(theirs[::-1])
        assert abs(psnr(ours, reference) - psnr(theirs, reference)) < 1e-3


def test_tiles_are_the_whole_image(small: Params, device: torch.device) -> None:
    """The overlap is more than the small network sees, so that only rounding is left."""
    network = backbone(small).to(device)
    lr = torch.rand(3, 24, 30, generator=torch.Generator().manual_seed(1))
    whole, tiled = (inference.upscale(network, lr, 4, tile, overlap=8) for tile in (None, 12))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)


def test_validation_is_that_of_the_cpu(
    small: Params, device: torch.device, store: PatchStore, train_params: TrainParams
) -> None:
    validation = train_params.validation.model_copy(update={"every": 2, "windows": 2})
    said = []
    for where in (torch.device("cpu"), device):
        network = backbone(small)
        made = Validation(store, validation, network, 32, 4)
        assert made(1, Ema(network.to(where))) == {}
        said.append(made(2, Ema(network.to(where))))
    assert list(said[1]) == list(said[0])
    for name, value in said[0].items():
        bound = {"abs": 5e-3, "rel": 0} if name.startswith("psnr") else {"rel": 1e-3, "abs": 0}
        assert said[1][name] == pytest.approx(value, **bound), name


def test_too_large_a_tile_is_one_clear_line(small: Params, cuda: torch.device) -> None:
    network = backbone(small).to(cuda)
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(cuda) + 2**26) / total, cuda)
    try:
        with pytest.raises(inference.OutOfMemory, match="out of memory on cuda.*choose a smaller tile"):
            inference.upscale(network, torch.rand(3, 1024, 1024), 4)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, cuda)
