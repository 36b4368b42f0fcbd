import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.plugins.degradations.operators.resize import MODES, resize


def test_area_is_the_mean_of_the_cells() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    expected = torch.tensor([[2.5, 4.5], [10.5, 12.5]]).expand(1, 3, 2, 2)
    assert torch.equal(resize(image, (2, 2), "area"), expected)


def test_bilinear_does_not_antialias() -> None:
    # Shrinking by 4 samples at 1.5: halfway between the second and the third of each four pixels.
    image = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 3, 8, 8)
    assert torch.equal(resize(image, (2, 2), "bilinear")[0, 0, 0], torch.tensor([1.5, 5.5]))


def test_nearest_keeps_every_sth_pixel_from_the_first_on() -> None:
    image = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize(image, (3, 5), "nearest"), image[..., ::4, ::4])
    assert torch.equal(resize(image, (6, 10), "nearest"), image[..., ::2, ::2])


@pytest.mark.parametrize("mode", MODES)
def test_same_size_changes_nothing(mode: str) -> None:
    image = torch.rand(2, 3, 13, 17)
    assert torch.equal(resize(image, (13, 17), mode), image)
    assert torch.equal(resize(image, 1.0, mode), image)
    torch.testing.assert_close(F.interpolate(image, scale_factor=1.0, mode=mode), image, rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_factor_keeps_its_own_spacing(mode: str) -> None:
    # A linear ramp sampled at (i + 0.5) / f - 0.5 for the factor itself, not for the rounded size.
    factor, width = 0.73, 50
    image = torch.arange(float(width)).expand(1, 3, width, width)
    out = resize(image, factor, mode)
    assert out.shape[-2:] == (36, 36)  # floor(36.5)
    positions = (torch.arange(36) + 0.5) / factor - 0.5
    # the bicubic kernel, with a = -0.75, reproduces a ramp only nearly
    torch.testing.assert_close(out[0, 0, 0, 2:-2], positions[2:-2], rtol=0, atol=0.1)
    stretched = resize(image, (36, 36), mode)
    assert (stretched[0, 0, 0, 30] - positions[30]).abs() > 0.3


@settings(deadline=None, max_examples=50)
@given(st.integers(8, 40), st.integers(8, 40), st.floats(0.15, 1.5), st.sampled_from(MODES))
def test_shape_and_constant(height: int, width: int, factor: float, mode: str) -> None:
    out = resize(torch.full((1, 3, height, width), 0.25), factor, mode)
    assert out.shape == (1, 3, int(height * factor), int(width * factor))
    np.testing.assert_allclose(out.numpy(), 0.25, atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(
        ValueError, match="unknown resize mode 'cubic': choose one of area, bilinear, bicubic, nearest"
    ):
        resize(torch.rand(1, 3, 8, 8), 0.5, "cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="8x8 px cannot be resized to 0x0"):
        resize(torch.rand(1, 3, 8, 8), 0.1, "area")
    with pytest.raises(ValueError, match="cannot be resized to 0x4"):
        resize(torch.rand(1, 3, 8, 8), (0, 4), "area")
