"""JPEG compression in floating point: what a codec loses, without its entropy coding and its 8-bit output."""

import functools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from blindsr.plugins.degradations.operators.transfer import upload

# Annex K of ITU-T T.81. The public code stores the transposed luminance table, and so does this one.
_LUMINANCE = (
    (16, 12, 14, 14, 18, 24, 49, 72),
    (11, 12, 13, 17, 22, 35, 64, 92),
    (10, 14, 16, 22, 37, 55, 78, 95),
    (16, 19, 24, 29, 56, 64, 87, 98),
    (24, 26, 40, 51, 68, 81, 103, 112),
    (40, 58, 57, 87, 109, 104, 121, 100),
    (51, 60, 69, 80, 103, 113, 120, 103),
    (61, 55, 56, 62, 77, 92, 101, 99),
)
_CHROMINANCE_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))


def jpeg(images: Tensor, quality: Tensor | Sequence[float]) -> Tensor:
    """Compress and decompress images.

    4:2:0 chroma subsampling, coefficients rounded to nearest, table factor 50 / quality below 50 and 2 - quality / 50
    from there on; sides that are not multiples of 16 are padded with black. Matches `DiffJPEG(differentiable=False)`
    of the public code (basicsr/utils/diffjpeg.py), in one 64x64 matrix product per 8x8 block instead of a tensor
    contraction.

    Args:
        images: (N, 3, H, W), RGB in [0, 1].
        quality: (N,), each in [1, 100).

    Returns:
        (N, 3, H, W) in [0, 1], not rounded.

    Raises:
        ValueError: for a wrong number of qualities or, where they are not a tensor on another device, one out of
            range.
    """
    n, _, height, width = images.shape
    values = torch.as_tensor(quality, dtype=torch.float32)
    if values.shape != (n,):
        raise ValueError(f"{n} images need {n} quality values, not {tuple(values.shape)}")
    if values.device.type == "cpu" and not bool(((values >= 1) & (values < 100)).all()):
        raise ValueError("jpeg quality must lie in [1, 100)")
    values = upload(values, images.device)
    factor = torch.where(values < 50, 50 / values, 2 - values / 50).view(n, 1, 1)
    dct, luminance, chrominance = _tables(images.device)

    rgb = F.pad(images, (0, -width % 16, 0, -height % 16)) * 255
    h, w = rgb.shape[-2:]
    red, green, blue = rgb.unbind(1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue - 128
    pairs = rgb[:, :, ::2] + rgb[:, :, 1::2]
    red, green, blue = ((pairs[..., ::2] + pairs[..., 1::2]) / 4).unbind(1)  # faster than pooling
    cb = -0.168736 * red - 0.331264 * green + 0.5 * blue
    cr = 0.5 * red - 0.418688 * green - 0.081312 * blue
    y = _quantize(y, dct, luminance * factor) + 128
    cb = _quantize(cb, dct, chrominance * factor)
    cr = _quantize(cr, dct, chrominance * factor)
    chroma = torch.stack((1.402 * cr, -0.344136 * cb - 0.714136 * cr, 1.772 * cb), dim=1)
    wide = F.interpolate(chroma, size=(h // 2, w), mode="nearest")
    rgb = (y.view(n, 1, h // 2, 2, w) + wide.view(n, 3, h // 2, 1, w)).view(n, 3, h, w)
    return rgb[:, :, :height, :width].clamp(0, 255).div_(255)


def _quantize(planes: Tensor, dct: Tensor, table: Tensor) -> Tensor:
    """Planes (N, H, W) after their DCT coefficients were rounded to multiples of `table` (N, 1, 64)."""
    n, h, w = planes.shape
    blocks = planes.view(n, h // 8, 8, w // 8, 8).transpose(2, 3).reshape(n, -1, 64)
    coefficients = (blocks @ dct).div_(table).round_().mul_(table)
    return (coefficients @ dct.T).view(n, h // 8, w // 8, 8, 8).transpose(2, 3).reshape(n, h, w)


@functools.cache
def _tables(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The 2-D DCT of a flattened block as a 64x64 matrix, and the two quantization tables as rows of 64."""
    frequency, position = torch.arange(8.0, dtype=torch.float64).view(-1, 1), torch.arange(8.0).double()
    basis = 0.5 * torch.cos((2 * position + 1) * frequency * math.pi / 16)
    basis[0] /= math.sqrt(2)
    chrominance = torch.full((8, 8), 99.0)
    chrominance[:4, :4] = torch.tensor(_CHROMINANCE_CORNER)
    luminance = torch.tensor(_LUMINANCE, dtype=torch.float32)
    dct = torch.kron(basis, basis).T.float().contiguous()
    return dct.to(device), luminance.view(1, 64).to(device), chrominance.view(1, 64).to(device)
