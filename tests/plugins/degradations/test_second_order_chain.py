"""The second-order chain: the released code's, bit for bit in any batch, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.plugins.degradations.operators import blur, noise
from blindsr.plugins.degradations.operators.blur import Kernel
from blindsr.plugins.degradations.operators.jpeg import jpeg
from blindsr.plugins.degradations.operators.resize import resize
from blindsr.plugins.degradations.second_order import Drawn, Pass
from second_order import PAPER, degrade, draw, generator, natural

DRAWS = 300


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    config = PAPER
    return [draw(config, generator(1, i), 240) for i in range(DRAWS)]


def plain(hr: torch.Tensor, d: Drawn, kernels: torch.Tensor) -> torch.Tensor:
    """The noiseless chain of the released code for one image, with padded kernels and torch's own calls."""

    def blurred(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x, [10] * 4, mode="reflect")
        return F.conv2d(padded, kernel.view(1, 1, 21, 21).expand(3, 1, 21, 21), groups=3)

    height, width = hr.shape[-2:]
    out = blurred(hr, kernels[0])
    out = F.interpolate(out, scale_factor=d.first.resize, mode=d.first.mode).clamp(0, 1)
    out = jpeg(out, [d.first.jpeg_quality])
    if d.second.kernel is not None:
        out = blurred(out, kernels[1])
    size = int(height / 4 * d.second.resize), int(width / 4 * d.second.resize)
    out = F.interpolate(out, size=size, mode=d.second.mode).clamp(0, 1)
    if d.jpeg_last:
        out = F.interpolate(out, size=(height // 4, width // 4), mode=d.final_mode)
        out = jpeg(blurred(out, kernels[2]).clamp(0, 1), [d.second.jpeg_quality])
    else:
        out = jpeg(out, [d.second.jpeg_quality])
        out = blurred(F.interpolate(out, size=(height // 4, width // 4), mode=d.final_mode), kernels[2])
    return (out * 255).round().clamp(0, 255) / 255


def one_by_one(hr: torch.Tensor, d: Drawn, stream: np.random.Generator) -> torch.Tensor:
    """The chain of one image as it was when the committed weights were trained, written out; never to be changed."""

    def blurred(x: torch.Tensor, spec: Kernel | None) -> torch.Tensor:
        if spec is None:
            return x
        margin = (21 - spec.size) // 2
        return blur.blur(x, blur.synthesize([spec])[:, margin : 21 - margin, margin : 21 - margin])

    def noisy(x: torch.Tensor, p: Pass) -> torch.Tensor:
        add = noise.add_gaussian if p.noise == "gaussian" else noise.add_poisson
        return add(x, [p.noise_level], [p.grey], [stream])

    height, width = hr.shape[-2] // 4, hr.shape[-1] // 4
    out = resize(blurred(hr, d.first.kernel), d.first.resize, d.first.mode)
    out = jpeg(noisy(out, d.first), [d.first.jpeg_quality])
    out = blurred(out, d.second.kernel)
    out = resize(out, (int(height * d.second.resize), int(width * d.second.resize)), d.second.mode)
    out = noisy(out, d.second)
    if not d.jpeg_last:
        out = jpeg(out, [d.second.jpeg_quality])
    out = blurred(resize(out, (height, width), d.final_mode), d.final_sinc)
    if d.jpeg_last:
        out = jpeg(out.clamp(0, 1), [d.second.jpeg_quality])
    return out.mul_(255).round_().clamp_(0, 255).div_(255)


def test_equals_the_chain_of_one_image_to_the_last_bit(drawn: list[Drawn]) -> None:
    some = drawn[200:260]
    assert {d.jpeg_last for d in some} == {d.final_sinc is None for d in some} == {True, False}
    hr = natural(len(some), 88, 100)
    together = degrade(hr, some, [generator(7, i) for i in range(len(some))])
    for i, d in enumerate(some):
        assert torch.equal(together[i : i + 1], one_by_one(hr[i : i + 1], d, generator(7, i))), i


def silent(d: Drawn) -> Drawn:
    return dataclasses.replace(
        d, first=dataclasses.replace(d.first, noise_level=0.0), second=dataclasses.replace(d.second, noise_level=0.0)
    )


def test_equals_the_plain_chain(drawn: list[Drawn]) -> None:
    some = [silent(d) for d in drawn[:24]]
    assert {d.jpeg_last for d in some} == {True, False}
    hr = natural(len(some), 88, 100)
    out = degrade(hr, some, [generator(0, i) for i in range(len(some))])
    for image, d, got in zip(hr.split(1), some, out.split(1), strict=True):
        expected = plain(image, d, blur.synthesize([d.first.kernel, d.second.kernel, d.final_sinc]))
        assert (got - expected).abs().max() <= 1.5 / 255  # a rounding tie may fall either way
        assert (got - expected).abs().mean() < 1e-4


def test_noise_of_both_passes_reaches_the_result() -> None:
    mild = Pass(None, 1.0, "area", "gaussian", 0.0, False, 95.0)
    strong = dataclasses.replace(mild, noise_level=25.0)
    hr = torch.full((1, 3, 80, 80), 0.5)

    def spread(first: Pass, second: Pass) -> float:
        d = Drawn(first, second, None, "area", jpeg_last=False)
        return degrade(hr, [d], [generator(0, 1)]).std().item() * 255

    assert spread(mild, mild) < 0.5
    assert spread(strong, mild) == pytest.approx(25 / 4, rel=0.3)  # the area resize averages 16 pixels
    assert spread(mild, strong) == pytest.approx(25, rel=0.3)


def test_bit_identical_in_any_batch(drawn: list[Drawn]) -> None:
    some = drawn[100:109]
    hr = natural(len(some), 92, 84)
    together = degrade(hr, some, [generator(5, i) for i in range(len(some))])
    for i in range(len(some)):
        assert torch.equal(degrade(hr[i : i + 1], [some[i]], [generator(5, i)])[0], together[i])
    order = [7, 2, 4]
    shuffled = degrade(hr[order], [some[i] for i in order], [generator(5, i) for i in order])
    assert torch.equal(shuffled, together[order])
    strided = hr.to(memory_format=torch.channels_last)
    assert torch.equal(degrade(strided, some, [generator(5, i) for i in range(len(some))]), together)


def test_two_views_of_one_image_differ() -> None:
    hr = natural(1, 96, 96).repeat(2, 1, 1, 1)
    sources = [generator(0, 0), generator(0, 1)]
    views = degrade(hr, [draw(PAPER, source, 96) for source in sources], sources)
    assert (views[0] - views[1]).abs().mean() > 0.005


@settings(deadline=None, max_examples=25)
@given(st.integers(19, 50), st.integers(19, 50), st.integers(0, 2**32))
def test_range_grid_and_shape(rows: int, columns: int, seed: int) -> None:
    hr = natural(2, 4 * rows, 4 * columns)
    before = hr.clone()
    sources = [generator(seed, i) for i in range(2)]
    lr = degrade(hr, [draw(PAPER, g, 4 * rows, 4 * columns) for g in sources], sources)
    assert lr.shape == (2, 3, rows, columns)
    assert lr.dtype == torch.float32
    assert lr.min() >= 0
    assert lr.max() <= 1
    levels = (lr * 255).round()
    assert torch.equal(levels / 255, lr)
    assert torch.equal(hr, before)


def test_other_scale() -> None:
    source = generator(2, 2)
    d = draw(PAPER, source, 90, scale=2)
    assert degrade(natural(1, 90, 90), [d], [source], scale=2).shape == (1, 3, 45, 45)


def test_result_can_enter_a_training_step() -> None:
    weight = torch.ones(1, requires_grad=True)
    source = generator(2, 3)
    lr = degrade(natural(1, 80, 80), [draw(PAPER, source, 80)], [source])
    assert not lr.requires_grad
    (lr * weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(lr.sum().item())


def test_wrong_arguments_are_refused(drawn: list[Drawn]) -> None:
    hr, one = natural(1, 80, 80), [generator(0, 0)]
    with pytest.raises(ValueError, match="1 images need as many degradations and generators, not 2 degradations"):
        degrade(hr, drawn[:2], one)
    with pytest.raises(ValueError, match="0 images"):
        degrade(hr[:0], [], [])
    with pytest.raises(ValueError, match="sides of a 80x78 image must be multiples of 4"):
        degrade(hr[..., :78], drawn[:1], one)
    with pytest.raises(ValueError, match=r"must be float32 of shape \(N, 3, H, W\), not torch.uint8"):
        degrade((hr * 255).byte(), drawn[:1], one)
    with pytest.raises(ValueError, match="must be float32"):
        degrade(hr[:, :1], drawn[:1], one)
