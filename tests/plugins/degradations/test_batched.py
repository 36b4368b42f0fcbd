"""The batch in one canvas against the samples one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import committed
from blindsr.config.schema import DegradationParams
from blindsr.plugins.degradations import batched, second_order
from blindsr.plugins.degradations.operators import jpeg, noise
from blindsr.plugins.degradations.operators.resize import MODES, Mode

N, SIDE = 12, 96


@pytest.fixture(scope="module")
def degradation() -> DegradationParams:
    return DegradationParams.model_validate(committed.settings()["degradation"])


def generators(seed: int) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[seed, number])) for number in range(N)]


def images() -> torch.Tensor:
    coarse = torch.rand(N, 3, 12, 14, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=(SIDE, SIDE + 16), mode="bicubic").clamp(0, 1)


def both(degradation: DegradationParams, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Results of the batch, and of the samples one by one, in levels of 0..255."""
    results = []
    for together in (True, False):
        streams = generators(seed)
        draws = [second_order.draw(degradation, stream, SIDE, SIDE + 16) for stream in streams]
        if together:
            results.append(batched.degrade(images(), batched.synthesize(draws), draws, streams))
        else:
            results.append(second_order.degrade(images(), draws, streams))
    return results[0] * 255, results[1] * 255


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_samples_one_by_one(
    degradation: DegradationParams, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the quantization of JPEG, which makes a level of a last bit: every pixel, but at ties of rounding."""
    monkeypatch.setattr(jpeg, "jpeg", lambda image, quality: image.clamp(0, 1))
    off = {"first": degradation.first.model_copy(update={"gaussian_probability": 1.0})}
    off["second"] = degradation.second.model_copy(update={"gaussian_probability": 1.0})
    ours, theirs = both(degradation.model_copy(update=off), seed)
    assert (ours - theirs).abs().max() <= 1.01
    assert ((ours - theirs).abs() > 0.5).float().mean() < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_chain_is_as_good_as_equal(degradation: DegradationParams, seed: int) -> None:
    ours, theirs = both(degradation, seed)
    mean_squared = (ours - theirs).square().flatten(1).mean(1)
    assert (mean_squared < 1).float().mean() > 0.7, "most samples differ by less than a level"
    assert (ours.mean((1, 2, 3)) - theirs.mean((1, 2, 3))).abs().max() < 0.5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [0.15, 0.4, 0.77, 1.0, 1.01, 1.017, 1.5])
def test_resizing_is_torch_s(mode: Mode, factor: float) -> None:
    """By a factor and to a size, samples of different sizes in one canvas."""
    canvas = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    sizes = [(61, 47), (40, 33)]
    new = [(int(h * factor), int(w * factor)) for h, w in sizes]
    for factors in ([factor] * 2, []):
        out = batched._resize(canvas, sizes, new, [mode] * 2, factors)
        assert all(side % 16 == 0 for side in out.shape[2:])
        for i, ((h, w), size) in enumerate(zip(sizes, new, strict=True)):
            image = canvas[i : i + 1, :, :h, :w]
            how = {"scale_factor": factor} if factors else {"size": size}
            wanted = F.interpolate(image, mode=mode, **how)[0]
            torch.testing.assert_close(out[i, :, : size[0], : size[1]], wanted, rtol=0, atol=2e-5)
            assert not out[i, :, size[0] :].any()
            assert not out[i, :, :, size[1] :].any()


def test_jpeg_pads_each_sample_with_black(degradation: DegradationParams) -> None:
    canvas = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(2))
    sizes = [(20, 30), (32, 48), (17, 16)]
    drawn = [second_order.draw(degradation, stream, SIDE).first for stream in generators(0)[:3]]
    out = batched._jpeg(canvas, sizes, drawn, [0, 2])
    assert torch.equal(out[1], canvas[1])
    for i in (0, 2):
        h, w = sizes[i]
        wanted = jpeg.jpeg(canvas[i : i + 1, :, :h, :w], [drawn[i].jpeg_quality])
        torch.testing.assert_close(out[i : i + 1, :, :h, :w], wanted, rtol=0, atol=1e-5)


def test_a_sample_does_not_depend_on_the_others(degradation: DegradationParams) -> None:
    """Up to the rounding of sums, which here changes no level."""
    streams = generators(5)
    draws = [second_order.draw(degradation, stream, SIDE, SIDE + 16) for stream in streams]
    some = [0, 5, 7]
    few = generators(5)
    for stream in few:
        second_order.draw(degradation, stream, SIDE, SIDE + 16)
    whole = batched.degrade(images(), batched.synthesize(draws), draws, streams)
    chosen = [draws[i] for i in some]
    part = batched.degrade(images()[some], batched.synthesize(chosen), chosen, [few[i] for i in some])
    assert ((whole[some] - part).abs() * 255 > 0.5).float().mean() < 0.02


def test_noise_is_that_of_the_samples_one_by_one(degradation: DegradationParams) -> None:
    """Both kinds, in colour and grey, of samples that fill a part of the canvas; around them there is nothing."""
    drawn = [second_order.draw(degradation, stream, SIDE).first for stream in generators(3)]
    drawn[:4] = [
        replace(drawn[0], noise=kind, grey=grey) for kind in ("gaussian", "poisson") for grey in (False, True)
    ]
    sizes = [(SIDE - 7 * i, 40 + 3 * i) for i in range(N)]
    canvas = images() * batched._inside(images(), sizes)
    ours = batched._noise(canvas, sizes, drawn, generators(4))
    for i, (one, stream, (height, width)) in enumerate(zip(drawn, generators(4), sizes, strict=True)):
        add = noise.add_gaussian if one.noise == "gaussian" else noise.add_poisson
        image = canvas[i : i + 1, :, :height, :width]
        wanted = add(image, [one.noise_level], [one.grey], [stream])[0]
        torch.testing.assert_close(ours[i, :, :height, :width], wanted, rtol=0, atol=1e-6)
        assert not ours[i, :, height:].any()
        assert not ours[i, :, :, width:].any()
