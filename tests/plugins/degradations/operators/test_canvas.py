"""A canvas against the images one by one."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from blindsr.plugins.degradations import second_order
from blindsr.plugins.degradations.operators import blur, canvas, jpeg
from blindsr.plugins.degradations.operators.blur import Kernel
from blindsr.plugins.degradations.operators.canvas import Canvas
from blindsr.plugins.degradations.operators.engine import Engine, Exact, Noise, Size
from blindsr.plugins.degradations.operators.resize import MODES, Mode

N, HEIGHT, WIDTH = 12, 96, 112
MIXING = ((0.8, 0.1, 0.0), (0.3, 0.5, -0.4), (0.0, 0.2, 0.6))


def streams(seed: int) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[seed, number])) for number in range(N)]


def images() -> torch.Tensor:
    coarse = torch.rand(N, 3, 12, 14, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic").clamp(0, 1)


def both(degradation: second_order.SecondOrder, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole second-order chain in a canvas, and one by one, in levels of 0..255."""
    results = []
    for engine in ("canvas", "exact"):
        generators = streams(seed)
        draws = [degradation.draw(stream, HEIGHT, WIDTH, 4) for stream in generators]
        results.append(degradation.apply(images(), draws, generators, 4, engine=engine) * 255)
    return results[0], results[1]


@pytest.mark.parametrize("seed", range(4))
def test_a_chain_equals_the_samples_one_by_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the quantization of JPEG, which makes a level of a last bit: every pixel, but at ties of rounding."""
    monkeypatch.setattr(jpeg, "jpeg", lambda image, quality: image.clamp(0, 1))
    gaussian = {"gaussian_probability": 1.0}
    ours, theirs = both(second_order.build(first=gaussian, second=gaussian), seed)
    assert (ours - theirs).abs().max() <= 1.01
    assert ((ours - theirs).abs() > 0.5).float().mean() < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_chain_is_as_good_as_equal(seed: int) -> None:
    ours, theirs = both(second_order.build(), seed)
    mean_squared = (ours - theirs).square().flatten(1).mean(1)
    assert (mean_squared < 1).float().mean() > 0.7, "most samples differ by less than a level"
    assert (ours.mean((1, 2, 3)) - theirs.mean((1, 2, 3))).abs().max() < 0.5


def test_a_sample_does_not_depend_on_the_others() -> None:
    """Up to the rounding of sums, which here changes no level."""
    degradation, generators, some = second_order.build(), streams(5), [0, 5, 7]
    draws = [degradation.draw(stream, HEIGHT, WIDTH, 4) for stream in generators]
    few = streams(5)
    for stream in few:
        degradation.draw(stream, HEIGHT, WIDTH, 4)
    whole = degradation.apply(images(), draws, generators, 4, engine="canvas")
    part = degradation.apply(images()[some], [draws[i] for i in some], [few[i] for i in some], 4, engine="canvas")
    assert ((whole[some] - part).abs() * 255 > 0.5).float().mean() < 0.02


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [0.15, 0.4, 0.5, 0.77, 1.0, 1.01, 1.017, 1.5])
def test_resizing_is_torch_s(mode: Mode, factor: float) -> None:
    """By a factor and to a size, samples of different sizes in one canvas."""
    pixels = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    sizes = [(61, 47), (40, 33)]
    new = [(int(h * factor), int(w * factor)) for h, w in sizes]
    shape = [-(-max(size[axis] for size in new) // 16) * 16 for axis in (0, 1)]
    for factors in ([factor] * 2, [None] * 2):
        out = canvas._resize(pixels, sizes, new, [mode] * 2, factors, shape)
        assert list(out.shape[2:]) == shape
        for i, ((h, w), size) in enumerate(zip(sizes, new, strict=True)):
            image = pixels[i : i + 1, :, :h, :w]
            how = {"scale_factor": factor} if factors[0] else {"size": size}
            wanted = F.interpolate(image, mode=mode, **how)[0]
            torch.testing.assert_close(out[i, :, : size[0], : size[1]], wanted, rtol=0, atol=2e-5)
            assert not out[i, :, size[0] :].any()
            assert not out[i, :, :, size[1] :].any()


# --- operator by operator, on images of different sizes --------------------------------------------------

SIZES: list[Size] = [(HEIGHT - 6 * i, 40 + 5 * i) for i in range(N)]
SPECS = [None if i % 4 == 3 else Kernel("aniso", 7 + 2 * (i % 8), 1.0 + i, 0.7, 0.3 * i) for i in range(N)]
NOISES = [
    Noise("gaussian", 20.0),
    Noise("gaussian", 20.0, grey=True),
    Noise("poisson", 1.0),
    Noise("poisson", 1.0, grey=True),
    Noise("gaussian", 25.0, mixing=MIXING),
    Noise("gaussian", 0.0),
] * 2
OPERATORS: dict[str, Callable[[Engine, Sequence[int] | None], None]] = {
    "blur": lambda samples, which: samples.blur(SPECS, blur.synthesize(SPECS), which),
    "smaller": lambda samples, which: samples.resize([0.4] * N, ["area", "bilinear", "bicubic"] * 4, which),
    "larger": lambda samples, which: samples.resize([(120 + i, 99) for i in range(N)], ["bicubic"] * N, which),
    "nearest": lambda samples, which: samples.resize([(h // 2, w // 2) for h, w in SIZES], ["nearest"] * N, which),
    "noise": lambda samples, which: samples.noise(NOISES, which),
    "jpeg": lambda samples, which: samples.jpeg([30.0 + 5 * i for i in range(N)], which),
    "clamp": lambda samples, which: samples.clamp(which),
}


@pytest.mark.parametrize("which", [None, [0, 3, 4, 11], [7, 2], []])
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_that_of_the_images_one_by_one(name: str, which: list[int] | None) -> None:
    """On all images, some in any order, or none: those that are not named stay as they are."""
    together, alone = Canvas(images(), streams(2)), Exact(images(), streams(2))
    for samples in (together, alone):
        samples.resize(SIZES, ["bicubic"] * N)  # leaves [0, 1] here and there, for what clips to clip
        if name != "clamp":
            samples.clamp()
        before = [pixels(samples, i) for i in range(N)]
        OPERATORS[name](samples, which)
        for i in range(N) if which is not None else ():
            assert i in which or torch.equal(pixels(samples, i), before[i])
    assert together.sizes == alone.sizes
    tolerance = 0.03 if name == "jpeg" else 5e-6  # a coefficient may be rounded to either side
    for i in range(N):
        ours, theirs = pixels(together, i), pixels(alone, i)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
        assert (ours - theirs).abs().mean() < 1e-5


def pixels(samples: Engine, i: int) -> torch.Tensor:
    """Image i alone, at its size."""
    if isinstance(samples, Exact):
        return samples._images[i][0]
    height, width = samples.sizes[i]
    return samples._canvas[i, :, :height, :width]


def test_noise_and_jpeg_leave_nothing_around_an_image() -> None:
    for name in ("noise", "jpeg"):
        samples = Canvas(images(), streams(2))
        samples.resize(SIZES, ["bilinear"] * N)
        samples.blur(SPECS, blur.synthesize(SPECS))
        assert samples._canvas[5, :, SIZES[5][0] :].any()
        OPERATORS[name](samples, None)
        padding = samples._canvas[5, :, SIZES[5][0] :]
        if name == "noise":
            assert not padding.any()
        wanted = jpeg.jpeg(pixels(samples, 5)[None], [99.0])
        samples.jpeg([99.0] * N, [5])
        torch.testing.assert_close(pixels(samples, 5)[None], wanted, rtol=0, atol=0.02)
