import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blindsr.plugins.degradations.operators.jpeg import jpeg

# Annex K of ITU-T T.81 in the standard's order, rows of rising vertical frequency.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=float,
)
CHROMINANCE = np.full((8, 8), 99.0)
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])


def layered(image: np.ndarray, quality: float) -> np.ndarray:
    """JPEG step by step on one (3, H, W) image in double precision, block after block."""
    _, height, width = image.shape
    padded = np.pad(image, [(0, 0), (0, -height % 16), (0, -width % 16)]) * 255
    ycc = np.tensordot(TO_YCC, padded, 1) + np.array([0, 128, 128])[:, None, None]
    factor = 50 / quality if quality < 50 else 2 - quality / 50
    planes = []
    for i, plane in enumerate(ycc):
        if i:
            plane = plane.reshape(plane.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
        table = (CHROMINANCE if i else LUMINANCE.T) * factor  # the public code transposes the table
        out = np.empty_like(plane)
        for top in range(0, plane.shape[0], 8):
            for left in range(0, plane.shape[1], 8):
                block = plane[top : top + 8, left : left + 8] - 128
                out[top : top + 8, left : left + 8] = decode(np.round(encode(block) / table) * table) + 128
        planes.append(out.repeat(2, 0).repeat(2, 1) if i else out)
    rgb = np.tensordot(TO_RGB, np.stack(planes) - np.array([0, 128, 128])[:, None, None], 1)
    return rgb[:, :height, :width].clip(0, 255) / 255


BASIS = np.array([[math.cos((2 * x + 1) * u * math.pi / 16) for x in range(8)] for u in range(8)])
ALPHA = np.array([1 / math.sqrt(2)] + [1] * 7)


def encode(block: np.ndarray) -> np.ndarray:
    return 0.25 * np.outer(ALPHA, ALPHA) * (BASIS @ block @ BASIS.T)


def decode(coefficients: np.ndarray) -> np.ndarray:
    return 0.25 * (BASIS.T @ (np.outer(ALPHA, ALPHA) * coefficients) @ BASIS)


def natural(n: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(n, 3, 7, 9, generator=source), size=(height, width), mode="bicubic")
    return (coarse + 0.1 * torch.randn(n, 3, height, width, generator=source)).clamp(0, 1)


def psnr_db(a: torch.Tensor, b: torch.Tensor) -> float:
    return -10 * math.log10(max((a - b).double().square().mean().item(), 1e-20))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 50), (7, 16), (80, 47)])
def test_equals_the_layered_version(height: int, width: int) -> None:
    qualities = [30.0, 49.9, 50.0, 71.3, 95.0]
    images = natural(5, height, width)
    out = jpeg(images, qualities)
    for image, quality, got in zip(images, qualities, out, strict=True):
        assert psnr_db(got, torch.from_numpy(layered(image.double().numpy(), quality))) >= 70


def test_equals_the_layered_version_on_8_bit_images() -> None:
    images = (natural(2, 48, 48) * 255).round() / 255
    for image, got in zip(images, jpeg(images, [40.0, 80.0]), strict=True):
        quality = 40.0 if torch.equal(image, images[0]) else 80.0
        assert psnr_db(got, torch.from_numpy(layered(image.double().numpy(), quality))) >= 70


def test_known_answer_of_a_flat_image() -> None:
    # Grey level 140 at quality 50: DC = 8 (140 - 128) = 96 = 6 * 16 survives; 141: 104 / 16 = 6.5 -> 6.
    for level, kept in ((140, 140), (141, 140), (143, 144)):
        out = jpeg(torch.full((1, 3, 16, 16), level / 255), [50.0])
        torch.testing.assert_close(out, torch.full((1, 3, 16, 16), kept / 255), rtol=0, atol=2e-6)


def test_known_answer_of_one_vertical_frequency() -> None:
    # Only the coefficient of vertical frequency 1 is not 0, so one quantization step tells the amplitude.
    rows = torch.cos((2 * torch.arange(8.0) + 1) * math.pi / 16).repeat(2)
    image = ((128 + 20 * rows) / 255).view(1, 1, 16, 1).expand(1, 3, 16, 16)
    coefficient = 20 * 0.25 / math.sqrt(2) * 8 * 4  # alpha_0 / 4, times 8 columns, times the sum of cos^2 over 8 rows
    table = 11  # the standard has 12 here: the table is transposed as in the public code
    amplitude = round(coefficient / table) * table / coefficient * 20
    expected = ((128 + amplitude * rows) / 255).view(1, 1, 16, 1).expand(1, 3, 16, 16)
    torch.testing.assert_close(jpeg(image, [50.0]), expected, rtol=0, atol=1e-5)


def codec(image: torch.Tensor, quality: int) -> torch.Tensor:
    buffer = io.BytesIO()
    pixels = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=2)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).unsqueeze(0) / 255


@pytest.mark.parametrize("quality", [25, 50])  # table factors 2 and 1: a codec's tables are not rounded here
def test_equals_a_real_codec_on_grey_images(quality: int) -> None:
    # Transposed like the quantization table, and without colour, the codec differs only by its integers: 8-bit
    # output, and coefficients halfway between two steps, which it rounds away from zero.
    image = ((natural(1, 64, 96).mean(1, keepdim=True) * 255).round() / 255).expand(1, 3, 64, 96)
    ours = jpeg(image, [float(quality)])
    assert psnr_db(ours, codec(image.transpose(2, 3), quality).transpose(2, 3)) > 45
    assert psnr_db(ours, codec(image, quality)) < 40


def test_lower_quality_loses_more() -> None:
    image = natural(1, 64, 64).expand(4, 3, 64, 64)
    loss = (jpeg(image, [30.0, 50.0, 75.0, 95.0]) - image).square().mean(dim=(1, 2, 3))
    assert (loss.diff() < 0).all()


def test_image_does_not_depend_on_its_batch() -> None:
    images, quality = natural(4, 50, 70), torch.tensor([30.0, 95.0, 60.0, 44.4])
    together = jpeg(images, quality)
    for i in range(4):
        torch.testing.assert_close(jpeg(images[i : i + 1], quality[i : i + 1])[0], together[i], rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.floats(1, 99))
def test_range_shape_and_input_untouched(n: int, height: int, width: int, quality: float) -> None:
    images = torch.rand(n, 3, height, width)
    before, asked = images.clone(), torch.full((n,), quality)
    out = jpeg(images, asked)
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(images, before)
    assert torch.equal(asked, torch.full((n,), quality))


@pytest.mark.parametrize("quality", [0.5, 100.0, float("nan")])
def test_quality_out_of_range_is_refused(quality: float) -> None:
    with pytest.raises(ValueError, match=r"quality must lie in \[1, 100\)"):
        jpeg(torch.rand(1, 3, 16, 16), [quality])


def test_wrong_number_of_qualities_is_refused() -> None:
    with pytest.raises(ValueError, match="2 images need 2 quality values"):
        jpeg(torch.rand(2, 3, 16, 16), [50.0])
