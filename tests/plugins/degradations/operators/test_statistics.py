"""Training samples have the statistics of the plain pipeline, which degrades 400 px whole and crops at the end.

At equal parameters the two differ in their draws of noise, in the phase at which the first resize samples, and in
where JPEG's blocks lie: pixels differ, but moments, spectra and quality must not.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import stats

from benchmarks import inputs
from benchmarks.plain import synthesis as plain
from blindsr.plugins.degradations.second_order import Drawn, Pass
from blindsr.training.samples import generator

SAMPLES = 200
DRAWS = 3000
PARAMS = inputs.params()
DEGRADATION = inputs.degradation()
LR_SIDE = PARAMS.train.crop // PARAMS.scale
WINDOW = PARAMS.train.window
START = 76  # px: a window in the middle of the 400, not on the grid of its JPEG blocks
MARGIN = (WINDOW - PARAMS.train.crop) // 2


class Statistics(NamedTuple):
    """Of each sample, in a row: moments (levels), quality against the clean image (dB), power per radial band."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    psnr_db: NDArray[np.float64]
    spectrum: NDArray[np.float64]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return inputs.crops(SAMPLES, plain.SIDE)


@pytest.fixture(scope="module")
def clean(images: torch.Tensor) -> torch.Tensor:
    """The crops without any degradation, at the size of the LR."""
    start, side = START + MARGIN, PARAMS.train.crop
    return F.interpolate(images[:, :, start : start + side, start : start + side], scale_factor=0.25, mode="area")


@pytest.fixture(scope="module")
def of_plain(images: torch.Tensor, clean: torch.Tensor) -> Statistics:
    torch.manual_seed(0)
    corner = (START + MARGIN, START + MARGIN)
    lr = [
        plain.two_views(image, [degradation], corner, PARAMS.train.crop)[0]
        for image, degradation in zip(images.split(1), drawn(0), strict=True)
    ]
    return describe(torch.cat(lr), clean)


@pytest.fixture(scope="module")
def of_ours(images: torch.Tensor, clean: torch.Tensor) -> Statistics:
    return describe(degraded(images, drawn(0)), clean)


def drawn(iteration: int) -> list[Drawn]:
    """As training draws them: each from the generator of its own sample."""
    return [DEGRADATION.draw(generator(0, iteration, sample, 1), WINDOW, WINDOW, 4) for sample in range(SAMPLES)]


def degraded(images: torch.Tensor, degradations: Sequence[Drawn]) -> torch.Tensor:
    """The product's LR crops."""
    windows = images[:, :, START : START + WINDOW, START : START + WINDOW].contiguous()
    lr = DEGRADATION.apply(windows, degradations, [generator(1, 0, i, 1) for i in range(len(images))], 4)
    start = MARGIN // PARAMS.scale
    return lr[:, :, start : start + LR_SIDE, start : start + LR_SIDE]


def describe(lr: torch.Tensor, clean: torch.Tensor) -> Statistics:
    levels = lr.double() * 255
    error = (levels - clean.double() * 255).square().mean((1, 2, 3))
    grey = levels.mean(1)
    window = torch.hann_window(LR_SIDE, periodic=False, dtype=torch.float64)
    centred = (grey - grey.mean((1, 2), keepdim=True)) * window[:, None] * window
    power = torch.fft.fft2(centred).abs().square()
    frequency = torch.fft.fftfreq(LR_SIDE).abs()
    radius = torch.hypot(frequency[:, None], frequency[None])
    bands = [(radius > low) & (radius <= low + 0.0625) for low in np.arange(0, 0.5, 0.0625)]
    return Statistics(
        mean=levels.mean((1, 2, 3)).numpy(),
        deviation=levels.std((1, 2, 3)).numpy(),
        psnr_db=(10 * torch.log10(255**2 / error)).numpy(),
        spectrum=torch.stack([power[:, band].mean(1) for band in bands], dim=1).numpy(),
    )


def departures(ours: Statistics, plain: Statistics) -> dict[str, float]:
    """How far apart the two are on the average over the samples, in units of what is tolerated."""
    spectrum = np.log(ours.spectrum) - np.log(plain.spectrum)
    return {
        "mean": abs(float((ours.mean - plain.mean).mean())) / 0.3,
        "deviation": abs(float((ours.deviation / plain.deviation).mean()) - 1) / 0.02,
        "psnr_db": abs(float((ours.psnr_db - plain.psnr_db).mean())) / 0.15,
        "spectrum": float(np.abs(spectrum.mean(axis=0)).max()) / 0.08,
    }


@pytest.mark.slow
def test_moments_spectra_and_quality_at_equal_parameters(of_ours: Statistics, of_plain: Statistics) -> None:
    assert max(departures(of_ours, of_plain).values()) < 1


@pytest.mark.slow
def test_sample_by_sample_at_equal_parameters(of_ours: Statistics, of_plain: Statistics) -> None:
    assert np.abs(of_ours.mean - of_plain.mean).max() < 12
    for field in ("mean", "deviation", "psnr_db"):
        assert np.corrcoef(getattr(of_ours, field), getattr(of_plain, field))[0, 1] > 0.98, field


def weaker_blur(d: Drawn) -> Drawn:
    kernel = d.first.kernel and dataclasses.replace(d.first.kernel, sigma_x=0.3, sigma_y=0.3)
    return dataclasses.replace(d, first=dataclasses.replace(d.first, kernel=kernel))


def stronger_noise(d: Drawn) -> Drawn:
    return dataclasses.replace(d, second=dataclasses.replace(d.second, noise_level=1.2 * d.second.noise_level))


def no_sinc(d: Drawn) -> Drawn:
    return dataclasses.replace(d, final_sinc=None)


@pytest.mark.slow
@pytest.mark.parametrize("change", [weaker_blur, stronger_noise, no_sinc])
def test_a_changed_degradation_would_be_seen(
    change: Callable[[Drawn], Drawn], images: torch.Tensor, clean: torch.Tensor, of_plain: Statistics
) -> None:
    """That the tolerances are narrow enough to mean something."""
    other = describe(degraded(images, [change(d) for d in drawn(0)]), clean)
    assert max(departures(other, of_plain).values()) > 1


@pytest.mark.slow
def test_distributions_at_other_draws(images: torch.Tensor, clean: torch.Tensor, of_plain: Statistics) -> None:
    """Parameters drawn anew: no longer the same samples, but the same distribution of samples."""
    other = describe(degraded(images, drawn(1)), clean)
    for field in ("mean", "deviation", "psnr_db"):
        assert stats.ks_2samp(getattr(other, field), getattr(of_plain, field)).pvalue > 1e-3, field
    for band in range(of_plain.spectrum.shape[1]):
        assert stats.ks_2samp(other.spectrum[:, band], of_plain.spectrum[:, band]).pvalue > 1e-3, band


# --- what is drawn ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stream() -> list[Drawn]:
    """Of many iterations, samples and both views, each from its own generator, as in training."""
    return [DEGRADATION.draw(generator(0, i // 16, i % 8, 1 + i % 16 // 8), WINDOW, WINDOW, 4) for i in range(DRAWS)]


@pytest.mark.parametrize("which", ["first", "second"])
def test_drawn_values_follow_the_settings(stream: list[Drawn], which: str) -> None:
    config = getattr(DEGRADATION, which)
    passes: list[Pass] = [getattr(d, which) for d in stream]
    gaussian = [p.kernel for p in passes if p.kernel and p.kernel.kind != "sinc"]
    values = {
        "kernel sigma": ([k.sigma_x for k in gaussian], config.sigma),
        "rotation": ([k.rotation for k in gaussian if k.kind.endswith("aniso")], (-math.pi, math.pi)),
        "downscaling": ([p.resize for p in passes if p.resize < 1], (config.resize[0], 1)),
        "upscaling": ([p.resize for p in passes if p.resize > 1], (1, config.resize[1])),
        "noise sigma": ([p.noise_level for p in passes if p.noise == "gaussian"], config.noise_sigma),
        "poisson scale": ([p.noise_level for p in passes if p.noise == "poisson"], config.poisson_scale),
        "jpeg quality": ([p.jpeg_quality for p in passes], config.jpeg_quality),
    }
    for name, (sample, (low, high)) in values.items():
        assert stats.kstest(sample, stats.uniform(low, high - low).cdf).pvalue > 1e-4, name


@pytest.mark.parametrize("which", ["first", "second"])
def test_drawn_choices_follow_the_probabilities(stream: list[Drawn], which: str) -> None:
    config = getattr(DEGRADATION, which)
    passes: list[Pass] = [getattr(d, which) for d in stream]
    kernels = [p.kernel for p in passes if p.kernel]
    resizing = config.resize_probabilities
    counts = {
        "blur": (len(kernels), len(passes), config.blur_probability),
        "sinc": (sum(k.kind == "sinc" for k in kernels), len(kernels), config.sinc_probability),
        "up": (sum(p.resize > 1 for p in passes), len(passes), resizing["up"]),
        "down": (sum(p.resize < 1 for p in passes), len(passes), resizing["down"]),
        "gaussian": (sum(p.noise == "gaussian" for p in passes), len(passes), config.gaussian_probability),
        "grey": (sum(p.grey for p in passes), len(passes), config.grey_probability),
    }
    for kind, probability in config.kernel_probabilities.items():
        gaussian = [k.kind for k in kernels if k.kind != "sinc"]
        counts[kind] = (gaussian.count(kind), len(gaussian), probability)
    if which == "second":
        final = sum(d.final_sinc is not None for d in stream)
        counts["final sinc"] = (final, len(stream), DEGRADATION.final_sinc_probability)
        counts["jpeg last"] = (sum(d.jpeg_last for d in stream), len(stream), 0.5)
    for name, (hits, total, probability) in counts.items():
        assert stats.binomtest(hits, total, probability).pvalue > 1e-4, name
