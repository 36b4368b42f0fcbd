"""BSRGAN's degradation: what is drawn, and the chain against one written out image by image."""

import dataclasses
import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from blindsr.plugins.degradations.bsrgan import STEPS, Drawn, build
from blindsr.plugins.degradations.operators import blur, noise
from blindsr.plugins.degradations.operators.blur import Kernel
from blindsr.plugins.degradations.operators.jpeg import jpeg

DRAWS = 6000
RELEASED = build()


def stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=list(key)))


def draws(count: int = DRAWS, scale: int = 4) -> list[Drawn]:
    return [RELEASED.draw(stream(scale, i), 240, 240, scale) for i in range(count)]


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    return draws()


def natural(n: int, height: int, width: int) -> Tensor:
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(height))
    return F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


def share(hits: list[bool], probability: float) -> bool:
    return bool(stats.binomtest(sum(hits), len(hits), probability).pvalue > 1e-4)


def is_uniform(values: list[float], low: float, high: float) -> bool:
    assert low <= min(values)
    assert max(values) <= high
    return bool(stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4)


# --- settings and draws ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel_sizes": [7, 25]}, r"kernel_sizes must be in \[1, 21\], not 25"),
        ({"halve_probability": 2}, "halve_probability must be in"),
        ({"noise_sigma": [2.5, 25]}, "noise_sigma must be whole numbers"),
        ({"noise_probabilities": {"poisson": 1}}, "noise_probabilities must give probabilities to some of colour,"),
        ({"jpeg_quality": [30, 100]}, r"jpeg_quality must be in \[1, 99\]"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**settings)


def test_orders_are_all_those_with_fit_after_shrink_and_equally_likely(drawn: list[Drawn]) -> None:
    allowed = [order for order in permutations(STEPS) if order.index("shrink") < order.index("fit")]
    orders = [d.order for d in drawn]
    assert len(allowed) == 360
    assert set(orders) == set(allowed)
    assert stats.chisquare([orders.count(order) for order in allowed]).pvalue > 1e-4


def test_blurs_are_drawn_as_the_paper_says(drawn: list[Drawn]) -> None:
    """At x4, up to 2.8 px and 8 px²; once the image is halved, what x2 has: 2.4 px and 6 px²."""
    for halved in (False, True):
        some = [d for d in drawn if (d.halve is not None) == halved]
        assert is_uniform([d.isotropic.sigma_x for d in some], 0.1, 2.4 if halved else 2.8)
        for side in ("sigma_x", "sigma_y"):
            assert is_uniform([getattr(d.anisotropic, side) ** 2 for d in some], 0.5, 6.0 if halved else 8.0)
    assert is_uniform([d.anisotropic.rotation for d in drawn], 0, math.pi)
    for kernels in ([d.isotropic for d in drawn], [d.anisotropic for d in drawn]):
        sizes = [kernel.size for kernel in kernels]
        assert stats.chisquare([sizes.count(size) for size in range(7, 22, 2)]).pvalue > 1e-4
    assert {d.isotropic.kind for d in drawn} == {"iso"}
    assert {d.anisotropic.kind for d in drawn} == {"aniso"}


def test_downsampling_is_drawn_as_released(drawn: list[Drawn]) -> None:
    assert share([d.halve is not None for d in drawn], 0.25)
    assert share([d.shrink_mode == "nearest" for d in drawn], 0.25)
    for halved in (False, True):
        scale = 2 if halved else 4
        some = [d for d in drawn if (d.halve is not None) == halved]
        nearest = [d for d in some if d.shrink_mode == "nearest"]
        assert is_uniform([d.shrink for d in some if d.shrink_mode != "nearest"], 1, 2 * scale)
        assert {d.shrink for d in nearest} == {scale}
        blurs = [d.shrink_blur for d in nearest if d.shrink_blur]
        assert len(blurs) == len(nearest)
        assert {(kernel.kind, kernel.size, kernel.shift) for kernel in blurs} == {("shifted", 21, (scale - 1) / 2)}
        assert is_uniform([kernel.sigma_x for kernel in blurs], 0.1, 0.6 * scale)
    for modes in (
        [d.halve for d in drawn if d.halve],
        [d.shrink_mode for d in drawn if d.shrink_mode != "nearest"],
        [d.fit_mode for d in drawn],
    ):
        assert stats.chisquare([modes.count(mode) for mode in ("bilinear", "bicubic", "area")]).pvalue > 1e-4
        assert set(modes) == {"bilinear", "bicubic", "area"}


@pytest.mark.parametrize("scale", [2, 3])
def test_only_at_x4_is_an_image_halved(scale: int) -> None:
    assert {d.halve for d in draws(200, scale)} == {None}


def test_noise_and_jpeg_are_drawn_as_released(drawn: list[Drawn]) -> None:
    assert share([d.noise.mixing is not None for d in drawn], 0.2)
    assert share([d.noise.grey for d in drawn], 0.4)
    assert not any(d.noise.grey and d.noise.mixing for d in drawn)
    assert {d.noise.kind for d in drawn} == {"gaussian"}
    levels = [d.noise.level for d in drawn if d.noise.mixing is None]
    assert stats.chisquare([levels.count(level) for level in range(2, 26)]).pvalue > 1e-4
    assert set(levels) == set(range(2, 26))
    assert {d.noise.level for d in drawn if d.noise.mixing} == {25.0}
    assert share([d.jpeg_quality is not None for d in drawn], 0.9)
    for qualities in ([d.jpeg_quality for d in drawn if d.jpeg_quality], [d.last_jpeg_quality for d in drawn]):
        assert stats.chisquare([qualities.count(quality) for quality in range(30, 96)]).pvalue > 1e-4
        assert set(qualities) == set(range(30, 96))


def test_a_covariance_has_uniform_eigenvalues_and_axes_in_every_direction(drawn: list[Drawn]) -> None:
    mixings = np.array([d.noise.mixing for d in drawn if d.noise.mixing])
    covariances = mixings @ mixings.transpose(0, 2, 1)
    eigenvalues = (mixings**2).sum(1)  # the columns of U √Λ are orthogonal
    np.testing.assert_allclose(np.sort(eigenvalues), np.linalg.eigvalsh(covariances), atol=1e-12)
    assert is_uniform(eigenvalues.ravel().tolist(), 0, 1)
    # Archimedes: a coordinate of a uniform direction is uniform in [-1, 1]
    axes = mixings / np.sqrt(eigenvalues)[:, None]
    for row in range(3):
        assert is_uniform(axes[:, row, 0].tolist(), -1, 1)


# --- degrading -------------------------------------------------------------------------------------------


def step_by_step(hr: Tensor, d: Drawn, generator: np.random.Generator, scale: int = 4) -> Tensor:
    """The chain of one image in torch's own calls, as the paper describes it."""

    def blurred(x: Tensor, kernel: Any) -> Tensor:
        margin = (21 - kernel.size) // 2
        weight = blur.synthesize([kernel])[:, margin : 21 - margin, margin : 21 - margin]
        padded = F.pad(x, [kernel.size // 2] * 4, mode="reflect")
        return F.conv2d(padded, weight.expand(3, 1, -1, -1), groups=3)

    def resized(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
        return F.interpolate(x, size=size, mode=mode).clamp(0, 1)

    height, width = hr.shape[-2:]
    out = resized(hr, (height // 2, width // 2), d.halve) if d.halve else hr
    for step in d.order:
        if step == "isotropic":
            out = blurred(out, d.isotropic)
        elif step == "anisotropic":
            out = blurred(out, d.anisotropic)
        elif step == "shrink" and d.shrink_blur:
            by = scale // 2 if d.halve else scale
            out = blurred(out, d.shrink_blur)[..., ::by, ::by].clamp(0, 1)
        elif step == "shrink":
            out = resized(out, (int(out.shape[-2] / d.shrink), int(out.shape[-1] / d.shrink)), d.shrink_mode)
        elif step == "fit":
            out = resized(out, (height // scale, width // scale), d.fit_mode)
        elif step == "noise":
            out = noise.add_gaussian(out, [d.noise.level], [d.noise.grey], [generator], [d.noise.mixing])
        elif d.jpeg_quality is not None:
            out = jpeg(out.clamp(0, 1), [d.jpeg_quality])
    return (jpeg(out.clamp(0, 1), [d.last_jpeg_quality]) * 255).round() / 255


@pytest.mark.parametrize("engine", ["exact", "canvas"])
def test_equals_the_chain_written_out(drawn: list[Drawn], engine: Any) -> None:
    """Up to ties of JPEG's rounding, of which a batch of 80 has some; every branch is among them."""
    some = drawn[:80]
    assert len({d.order for d in some}) > 60
    branches = {(d.halve is not None, d.shrink_blur is not None) for d in some}
    assert branches == {(False, False), (False, True), (True, False), (True, True)}
    hr = natural(len(some), 96, 112)
    lr = RELEASED.apply(hr, some, [stream(3, i) for i in range(len(some))], 4, engine=engine)
    wanted = torch.cat([step_by_step(hr[i : i + 1], d, stream(3, i)) for i, d in enumerate(some)])
    error = (lr - wanted).abs() * 255
    assert (error.amax((1, 2, 3)) < 0.5).float().mean() > 0.6
    assert error.square().mean((1, 2, 3)).median() < 1e-3
    assert error.square().mean((1, 2, 3)).max() < 30


@pytest.mark.parametrize("halve", [None, "area"])
def test_the_least_window_is_enough_for_the_strongest_shrinking(drawn: list[Drawn], halve: Any) -> None:
    """Shrunk to an eighth, and then blurred with the widest kernel, which reflects 10 px of 11."""
    assert RELEASED.least_window(4) == 88
    wide = {"isotropic": Kernel("iso", 21, 2.8), "anisotropic": Kernel("aniso", 21, 2.0, 2.8)}
    d = dataclasses.replace(drawn[0], halve=halve, shrink=4.0 if halve else 8.0, shrink_mode="bilinear", **wide)
    d = dataclasses.replace(d, shrink_blur=None, order=("shrink", "isotropic", "anisotropic", "fit", "noise", "jpeg"))
    for engine in ("exact", "canvas"):
        assert RELEASED.apply(natural(1, 88, 88), [d], [stream(0, 0)], 4, engine=engine).shape == (1, 3, 22, 22)
    with pytest.raises(ValueError, match="too small for a 21x21 kernel"):
        RELEASED.apply(natural(1, 84, 84), [d], [stream(0, 0)], 4)


def test_each_step_reaches_the_result(drawn: list[Drawn]) -> None:
    """Changing one part of the same draw changes the image."""
    d = next(d for d in drawn if d.jpeg_quality and d.shrink_mode != "nearest" and not d.noise.mixing)
    hr = natural(1, 192, 192)  # also for a draw that is halved once more than it was

    def lr(changed: Drawn) -> Tensor:
        return RELEASED.apply(hr, [changed], [stream(1, 1)], 4)

    others = [step for step in d.order if step not in ("shrink", "fit")]
    changes: list[dict[str, Any]] = [
        {"halve": None if d.halve else "area"},
        {"isotropic": dataclasses.replace(d.isotropic, sigma_x=5.0, size=21)},
        {"anisotropic": dataclasses.replace(d.anisotropic, sigma_x=8.0, size=21)},
        {"shrink": d.shrink + 0.5},
        {"shrink_mode": "area" if d.shrink_mode == "bicubic" else "bicubic"},
        {"fit_mode": "area" if d.fit_mode == "bicubic" else "bicubic"},
        {"noise": dataclasses.replace(d.noise, level=d.noise.level + 20)},
        {"jpeg_quality": 2.0},
        {"last_jpeg_quality": 2.0},
        {"order": (*reversed(others), "shrink", "fit")},
    ]
    for change in changes:
        assert not torch.equal(lr(dataclasses.replace(d, **change)), lr(d)), change
