"""JPEG in floating point, layer by layer: colours, subsampling, blocks, DCT, quantization, and all back."""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_TO_YCBCR = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_TO_RGB = torch.tensor([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]])
_OFFSET = torch.tensor([0.0, 128.0, 128.0])
# The tables of ITU-T T.81, Annex K; the public code uses that of the luminance transposed.
_LUMINANCE = torch.tensor(
    [
        [16.0, 11.0, 10.0, 16.0, 24.0, 40.0, 51.0, 61.0],
        [12.0, 12.0, 14.0, 19.0, 26.0, 58.0, 60.0, 55.0],
        [14.0, 13.0, 16.0, 24.0, 40.0, 57.0, 69.0, 56.0],
        [14.0, 17.0, 22.0, 29.0, 51.0, 87.0, 80.0, 62.0],
        [18.0, 22.0, 37.0, 56.0, 68.0, 109.0, 103.0, 77.0],
        [24.0, 35.0, 55.0, 64.0, 81.0, 104.0, 113.0, 92.0],
        [49.0, 64.0, 78.0, 87.0, 103.0, 121.0, 120.0, 101.0],
        [72.0, 92.0, 95.0, 98.0, 112.0, 100.0, 103.0, 99.0],
    ]
).T.contiguous()
_CHROMINANCE = F.pad(
    torch.tensor([[17.0, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]), (0, 4, 0, 4), value=99.0
)


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] compressed at `quality` (N) in [1, 100) and decompressed."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % 16, 0, -height % 16))
    factor = torch.stack([50 / q if q < 50 else 2 - q / 50 for q in quality]).view(-1, 1, 1, 1)
    y, cb, cr = _subsample(_to_ycbcr(padded * 255))
    h, w = padded.shape[-2:]
    y = _merge(_decode(_encode(_split(y), _LUMINANCE * factor), _LUMINANCE * factor), h, w)
    cb, cr = (
        _merge(_decode(_encode(_split(c), _CHROMINANCE * factor), _CHROMINANCE * factor), h // 2, w // 2)
        for c in (cb, cr)
    )
    rgb = _to_rgb(torch.stack([y, _repeat(cb), _repeat(cr)], dim=3))
    return (rgb.clamp(0, 255) / 255)[:, :, :height, :width]


def _to_ycbcr(images: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, H, W, 3)."""
    return torch.tensordot(images.permute(0, 2, 3, 1), _TO_YCBCR.T, dims=1) + _OFFSET


def _to_rgb(images: Tensor) -> Tensor:
    return torch.tensordot(images - _OFFSET, _TO_RGB.T, dims=1).permute(0, 3, 1, 2)


def _subsample(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y, chroma = images[..., 0], images[..., 1:].permute(0, 3, 1, 2)
    cb, cr = F.avg_pool2d(chroma, 2).unbind(1)
    return y, cb, cr


def _split(plane: Tensor) -> Tensor:
    """(N, H, W) to blocks (N, HW / 64, 8, 8)."""
    n, h, w = plane.shape
    return plane.reshape(n, h // 8, 8, w // 8, 8).permute(0, 1, 3, 2, 4).reshape(n, -1, 8, 8)


def _merge(blocks: Tensor, height: int, width: int) -> Tensor:
    n = len(blocks)
    return blocks.view(n, height // 8, width // 8, 8, 8).permute(0, 1, 3, 2, 4).reshape(n, height, width)


def _encode(blocks: Tensor, table: Tensor) -> Tensor:
    cosines, scale = _dct()
    coefficients = scale * torch.tensordot(blocks - 128, cosines, dims=2)
    return torch.round(coefficients / table)


def _decode(coefficients: Tensor, table: Tensor) -> Tensor:
    cosines, scale = _dct()
    return torch.tensordot(coefficients * table * scale, cosines.permute(2, 3, 0, 1).contiguous(), dims=2) + 128


@functools.cache
def _dct() -> tuple[Tensor, Tensor]:
    """cos((2x+1)uπ/16) cos((2y+1)vπ/16) as (x, y, u, v), and the norm of each frequency (u, v)."""
    angles = (2 * np.arange(8)[:, None] + 1) * np.arange(8) * np.pi / 16
    cosines = np.einsum("xu,yv->xyuv", np.cos(angles), np.cos(angles))
    norm = np.array([0.5**0.5] + [1.0] * 7)
    return torch.from_numpy(cosines).float(), torch.from_numpy(np.outer(norm, norm) / 4).float()


def _repeat(plane: Tensor) -> Tensor:
    return plane.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
