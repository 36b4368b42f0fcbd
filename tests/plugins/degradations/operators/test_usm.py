import cv2
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.plugins.degradations.operators.usm import sharpen


def dense(images: torch.Tensor, radius: int = 50, weight: float = 0.5, threshold: float = 10) -> torch.Tensor:
    """The definition with one dense 2-D convolution per blur."""
    size = radius + 1 if radius % 2 == 0 else radius
    line = torch.from_numpy(cv2.getGaussianKernel(size, 0)).float()

    def blurred(x: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x, [size // 2] * 4, mode="reflect").flatten(0, 1).unsqueeze(1)
        return F.conv2d(padded, (line @ line.T).view(1, 1, size, size)).view_as(x)

    residual = images - blurred(images)
    soft_mask = blurred((residual.abs() * 255 > threshold).float())
    sharp = (images + weight * residual).clamp(0, 1)
    return soft_mask * sharp + (1 - soft_mask) * images


def structured(n: int, height: int, width: int) -> torch.Tensor:
    torch.manual_seed(n + height + width)
    coarse = F.interpolate(torch.rand(n, 3, 6, 5), size=(height, width), mode="nearest")
    return (0.8 * coarse + 0.2 * torch.rand(n, 3, height, width)).clamp(0, 1)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (51, 130), (97, 26)])
def test_equals_the_dense_definition(height: int, width: int) -> None:
    images = structured(2, height, width)
    out = sharpen(images)
    assert (out - dense(images)).abs().max() < 1e-3
    assert (out - images).abs().max() > 0.01  # it does sharpen


@pytest.mark.parametrize(("radius", "weight", "threshold"), [(13, 1.0, 0.0), (20, 0.3, 40.0)])
def test_other_settings(radius: int, weight: float, threshold: float) -> None:
    images = structured(1, 70, 40)
    assert (sharpen(images, radius, weight, threshold) - dense(images, radius, weight, threshold)).abs().max() < 1e-3


def test_known_answer_of_a_step() -> None:
    # A step seen through a blur that is symmetric: left of it B = s, right of it B = 1 - s in steps of 0.5.
    image = torch.full((1, 3, 80, 160), 0.25)
    image[..., 80:] = 0.75
    out = sharpen(image)[0, 0, 40]
    taps = torch.from_numpy(cv2.getGaussianKernel(51, 0)).ravel()
    beside = 0.5 * taps[26:].sum().item()  # |I - B| at the two pixels beside the step
    reach = [i for i in range(25) if 0.5 * taps[26 + i :].sum().item() * 255 > 10]  # masked distances
    masked = [80 + i for i in reach] + [79 - i for i in reach]
    mask = sum(taps[25 + x - 80].item() for x in masked if 0 <= 25 + x - 80 < 51)
    assert out[80].item() == pytest.approx(0.75 + mask * 0.5 * beside, abs=1e-4)
    assert out[79].item() == pytest.approx(0.25 - mask * 0.5 * beside, abs=1e-4)
    assert torch.equal(out[:20], torch.full((20,), 0.25))


def test_below_the_threshold_nothing_changes() -> None:
    image = 0.5 + 0.03 * torch.rand(1, 3, 60, 60)  # differs from its blur by less than 10 / 255
    torch.testing.assert_close(sharpen(image), image, rtol=0, atol=1e-7)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(26, 140), st.integers(26, 140))
def test_range_shape_and_input_untouched(n: int, height: int, width: int) -> None:
    images = torch.rand(n, 3, height, width).round()
    before = images.clone()
    out = sharpen(images)
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(images, before)


def test_image_does_not_depend_on_its_batch() -> None:
    images = structured(4, 90, 70)
    together = sharpen(images)
    for i in range(4):
        torch.testing.assert_close(sharpen(images[i : i + 1])[0], together[i], rtol=0, atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="25x80 px is too small to sharpen with a radius of 50"):
        sharpen(torch.rand(1, 3, 25, 80))
    with pytest.raises(ValueError, match="radius must be at least 1"):
        sharpen(torch.rand(1, 3, 25, 80), radius=0)
