import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from blindsr.plugins.degradations.operators import blur
from blindsr.plugins.degradations.operators.blur import GAUSSIAN_KINDS, Kernel


def plain_kernel(spec: Kernel) -> np.ndarray:
    """The public definition of one kernel, written out: matrix inverse, power, normalization, zero padding."""
    half = spec.size // 2
    axis = np.arange(-half, half + 1, dtype=float)
    xx, yy = np.meshgrid(axis, axis)
    if spec.kind == "sinc":
        r = np.hypot(xx, yy)
        r[half, half] = 1
        kernel = spec.cutoff * special.j1(spec.cutoff * r) / (2 * np.pi * r)
        kernel[half, half] = spec.cutoff**2 / (4 * np.pi)
    else:
        if spec.kind in ("iso", "generalized_iso", "plateau_iso"):
            covariance = np.diag([spec.sigma_x**2] * 2)
        else:
            c, s = np.cos(spec.rotation), np.sin(spec.rotation)
            turn = np.array([[c, -s], [s, c]])
            covariance = turn @ np.diag([spec.sigma_x**2, spec.sigma_y**2]) @ turn.T
        grid = np.stack([xx, yy], axis=-1)
        q = np.sum((grid @ np.linalg.inv(covariance)) * grid, axis=2)
        if spec.kind.startswith("plateau"):
            kernel = 1 / (q**spec.beta + 1)
        elif spec.kind.startswith("generalized"):
            kernel = np.exp(-0.5 * q**spec.beta)
        else:
            kernel = np.exp(-0.5 * q)
    return np.pad(kernel / kernel.sum(), (21 - spec.size) // 2)


def random_specs(count: int, seed: int = 0) -> list[Kernel]:
    rng = np.random.default_rng(seed)
    return [
        Kernel(
            kind=(*GAUSSIAN_KINDS, "sinc")[i % 7],
            size=int(rng.choice(np.arange(7, 22, 2))),
            sigma_x=rng.uniform(0.2, 3),
            sigma_y=rng.uniform(0.2, 3),
            rotation=rng.uniform(-math.pi, math.pi),
            beta=rng.uniform(0.5, 4),
            cutoff=rng.uniform(math.pi / 5, math.pi),
        )
        for i in range(count)
    ]


def test_equals_the_plain_definition() -> None:
    specs = random_specs(140)
    made = blur.synthesize(specs).numpy()
    plain = np.stack([plain_kernel(spec) for spec in specs])
    assert np.abs(made - plain).max() <= 1e-6


def test_known_answers() -> None:
    # sigma 1, 3x3: weights 1, e^-1/2, e^-1 around a centre of 1
    edge, corner = math.exp(-0.5), math.exp(-1)
    total = 1 + 4 * edge + 4 * corner
    kernel = blur.synthesize([Kernel("iso", 3, sigma_x=1.0, sigma_y=9.0)])[0, 9:12, 9:12]
    expected = torch.tensor([[corner, edge, corner], [edge, 1, edge], [corner, edge, corner]]) / total
    torch.testing.assert_close(kernel, expected, rtol=0, atol=1e-7)
    # plateau, sigma 1, beta 1, 3x3: 1, 1/2, 1/3 around a centre of 1
    kernel = blur.synthesize([Kernel("plateau_iso", 3, sigma_x=1.0)])[0, 9:12, 9:12]
    expected = torch.tensor([[1 / 3, 1 / 2, 1 / 3], [1 / 2, 1, 1 / 2], [1 / 3, 1 / 2, 1 / 3]]) / (13 / 3)
    torch.testing.assert_close(kernel, expected, rtol=0, atol=1e-7)


def test_long_axis_follows_rotation() -> None:
    flat, upright = blur.synthesize(
        [Kernel("aniso", 21, 3.0, 0.5), Kernel("aniso", 21, 3.0, 0.5, rotation=math.pi / 2)]
    )
    assert flat[10].sum() > 0.7  # the x axis is the row
    torch.testing.assert_close(upright, flat.T)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_kernels_sum_to_one_and_fit_their_size(seed: int, count: int) -> None:
    specs = random_specs(7 * count, seed)[-count:]
    for spec, kernel in zip(specs, blur.synthesize(specs), strict=True):
        assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
        inner = slice(10 - spec.size // 2, 11 + spec.size // 2)
        outside = kernel.clone()
        outside[inner, inner] = 0
        assert not outside.any()
        torch.testing.assert_close(kernel, kernel.flip(0, 1))  # symmetric through the centre


def test_kernel_does_not_depend_on_its_batch() -> None:
    specs = [*random_specs(61), None, *random_specs(3, seed=5)]
    together = blur.synthesize(specs)
    for i, spec in enumerate(specs):
        assert torch.equal(blur.synthesize([spec])[0], together[i])
    assert torch.equal(blur.synthesize(specs[7:30]), together[7:30])


def test_none_is_the_identity() -> None:
    images = torch.rand(2, 3, 23, 31)
    assert torch.equal(blur.blur(images, blur.synthesize([None, None])), images)


@pytest.mark.parametrize(("height", "width"), [(11, 11), (24, 40), (37, 61)])
def test_blur_equals_opencv(height: int, width: int) -> None:
    images = torch.rand(7, 3, height, width)
    kernels = blur.synthesize(random_specs(7))
    out = blur.blur(images, kernels)
    for image, kernel, got in zip(images, kernels, out, strict=True):
        hwc = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        oracle = cv2.filter2D(hwc, -1, kernel.numpy(), borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(got.permute(1, 2, 0).numpy(), oracle, atol=2e-6)


def test_blur_of_an_impulse_is_the_kernel() -> None:
    image = torch.zeros(1, 3, 41, 41)
    image[..., 20, 20] = 1
    kernel = torch.rand(1, 5, 9)
    out = blur.blur(image, kernel)[0]
    torch.testing.assert_close(out[:, 18:23, 16:25], kernel.flip(1, 2).expand(3, 5, 9))
    assert out.sum() == pytest.approx(3 * kernel.sum().item(), rel=1e-5)


def test_image_does_not_depend_on_its_batch() -> None:
    images, kernels = torch.rand(5, 3, 50, 43), torch.rand(5, 21, 21)
    together = blur.blur(images, kernels)
    for i in range(5):
        assert torch.equal(blur.blur(images[i : i + 1], kernels[i : i + 1])[0], together[i])


def test_shifted_kernels_by_hand() -> None:
    """At x4 the centre is 1.5 px down and right: a narrow kernel is the mean of the four pixels around it."""
    narrow, wide, at_two = blur.synthesize(
        [
            Kernel("shifted", 21, 0.01, shift=1.5),
            Kernel("shifted", 21, 2.0, shift=1.5),
            Kernel("shifted", 5, 1.0, shift=0.5),
        ]
    )
    expected = torch.zeros(21, 21)
    expected[11:13, 11:13] = 0.25
    assert torch.equal(narrow, expected)
    axis = torch.arange(-10.0, 11)
    line = torch.exp(-((axis - 1.5) ** 2) / 8)
    torch.testing.assert_close(wide, torch.outer(line, line) / line.sum() ** 2)
    assert int((at_two > 0).sum()) == 25
    assert (wide.sum(0) @ axis).item() == pytest.approx(1.5, abs=1e-3)
    assert at_two.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_shifted_blur_makes_every_sth_pixel_show_the_middle_of_its_area(scale: int) -> None:
    """Of a ramp, downscaling by keeping pixels gives what the mean of each area gives: no shift of the image."""
    ramp = torch.arange(80.0).expand(1, 3, 80, 80)[..., : 80 // scale * scale]
    kernel = blur.synthesize([Kernel("shifted", 21, 0.5, shift=0.5 * (scale - 1))])
    kept = blur.blur(ramp, kernel)[..., ::scale]
    middle = F.avg_pool2d(ramp, (1, scale))
    torch.testing.assert_close(kept[..., 5:-5], middle[..., 5:-5], rtol=0, atol=0.05)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="odd and at most 21, not 22"):
        blur.synthesize([Kernel("iso", 22)])
    with pytest.raises(ValueError, match="at most 21, not 23"):
        blur.synthesize([Kernel("sinc", 23)])
    with pytest.raises(ValueError, match="2 images need 2 kernels"):
        blur.blur(torch.rand(2, 3, 30, 30), torch.rand(1, 7, 7))
    with pytest.raises(ValueError, match="of odd size"):
        blur.blur(torch.rand(1, 3, 30, 30), torch.rand(1, 6, 6))
    with pytest.raises(ValueError, match="10x30 px is too small for a 21x21 kernel"):
        blur.blur(torch.rand(1, 3, 10, 30), torch.rand(1, 21, 21))
