"""Training batches made by the device against those of the CPU, and the device's own noise."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from blindsr.config.params import Params
from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.plugins.degradations import second_order
from blindsr.plugins.degradations.base import Degradation
from blindsr.plugins.degradations.operators import jpeg, noise
from blindsr.runtime import devices
from blindsr.training.samples import Batch, Batches

pytestmark = pytest.mark.gpu


class Few(Batches):
    together = 2


@pytest.fixture
def degradation(small: Params) -> Degradation:
    """The paper's, without noise, whose draws a device makes itself."""
    quiet = {"noise_sigma": (0.0, 0.0), "poisson_scale": (0.0, 0.0)}
    return second_order.build(first=quiet, second=quiet)


@pytest.fixture
def make(store: PatchStore, train_params: TrainParams, degradation: Degradation) -> Callable[..., list[Batch]]:
    def made(where: torch.device, usm: bool = False, **more: object) -> list[Batch]:
        train = train_params.model_copy(update={"usm_target": usm})
        batches = Few(store, train, more.get("degradation", degradation), seed=0, views=2, scale=4)
        return batches.finish(batches.sources(0), where)

    return made


def levels(batches: list[Batch]) -> torch.Tensor:
    return torch.cat([batch.lr for batch in batches]).cpu() * 255


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_without_jpeg_every_pixel_is_that_of_the_cpu(
    make: Callable, device: torch.device, monkeypatch: pytest.MonkeyPatch, precision: str, record_property: Callable
) -> None:
    """But at ties of rounding; also while a network trains in TF32, which may not reach the images."""
    monkeypatch.setattr(jpeg, "jpeg", lambda image, quality: image.clamp(0, 1))
    wanted = levels(make(torch.device("cpu")))
    with devices.tf32(precision == "tf32"):
        off = (levels(make(device)) - wanted).abs()
    record_property("largest difference in levels", f"{float(off.max()):.3g}")
    assert off.max() <= 1.01
    assert (off > 0.5).float().mean() < 2e-3


def test_with_jpeg_most_samples_are_those_of_the_cpu(
    make: Callable, device: torch.device, record_property: Callable
) -> None:
    """A last bit before JPEG's rounding makes a level, here and there."""
    made, wanted = levels(make(device)), levels(make(torch.device("cpu")))
    square = (made - wanted).square().mean((1, 2, 3))
    record_property("median mean square in levels", f"{float(square.median()):.3g}")
    assert square.median() <= 0.5
    assert (made.mean((1, 2, 3)) - wanted.mean((1, 2, 3))).abs().max() < 0.5


@pytest.mark.parametrize(("usm", "bound"), [(False, 1e-7), (True, 1e-3)])
def test_targets_are_those_of_the_cpu(make: Callable, device: torch.device, usm: bool, bound: float) -> None:
    made, wanted = (
        torch.cat([batch.hr for batch in make(where, usm)]).cpu() for where in (device, torch.device("cpu"))
    )
    assert (made - wanted).abs().max() <= bound


def test_the_same_key_gives_the_same_bits(make: Callable, small: Params, device: torch.device) -> None:
    first, second = (levels(make(device, degradation=second_order.build())) for _ in range(2))
    assert torch.equal(first, second)


def test_noise_has_the_moments_of_its_distribution(device: torch.device) -> None:
    """Means and variances of 200,000 draws, within five standard deviations of their own."""
    count, grey = 200_000, torch.full((1, 200_000), 128.0, device=device)
    generator = np.random.Generator(np.random.Philox(key=[1, 2]))
    normal = noise.normal((count,), generator, grey)
    poisson = noise.poisson(grey[None], torch.tensor(64.0, device=device), generator).flatten()
    mean = 64 * 128 / 255
    for draws, expected, variance, fourth in ((normal, 0, 1, 3), (poisson, mean, mean, 3 * mean**2 + mean)):
        values = draws.double().cpu()
        assert abs(float(values.mean()) - expected) < 5 * math.sqrt(variance / count)
        assert abs(float(values.var()) - variance) < 5 * math.sqrt((fourth - variance**2) / count)
