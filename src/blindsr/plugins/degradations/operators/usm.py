"""Unsharp masking, with which the released settings sharpen the training targets."""

import functools

import torch
from torch import Tensor

_BLOCK = 64  # rows blurred by one matrix product


def sharpen(images: Tensor, radius: int = 50, weight: float = 0.5, threshold: float = 10) -> Tensor:
    """Sharpen images where they differ from their blur by more than a threshold.

    With B the Gaussian blur of image I and M the blurred mask of |I - B| > threshold / 255, the result is M · clip(I
    + weight · (I - B)) + (1 - M) · I. Equals `USMSharp` of the public code (basicsr/utils/img_process_util.py), whose
    51x51 convolutions become two banded matrix products per blur; rounding may flip single pixels of the mask, which
    moves the result by less than 1e-3.

    Args:
        images: (N, 3, H, W) in [0, 1].
        radius: px of the blur, made odd by adding 1.
        weight: Of what is added.
        threshold: Levels of 0..255.

    Returns:
        (N, 3, H, W) in [0, 1].

    Raises:
        ValueError: where a side of the images is not above radius / 2, since borders are reflected.
    """
    if radius < 1 or weight < 0 or threshold < 0:
        raise ValueError("radius must be at least 1, weight and threshold at least 0")
    size = int(radius) | 1
    height, width = images.shape[-2:]
    if min(height, width) <= size // 2:
        raise ValueError(f"an image of {height}x{width} px is too small to sharpen with a radius of {radius}")
    rows = _blur_matrix(height, size, images.device).to(images)
    columns = rows if height == width else _blur_matrix(width, size, images.device).to(images)
    residual = images - _separable(images, rows, columns, size // 2)
    mask = _separable((residual.abs() * 255 > threshold).to(images.dtype), rows, columns, size // 2)
    sharp = residual.mul_(weight).add_(images).clamp_(0, 1)
    return torch.lerp(images, sharp, mask).clamp_(0, 1)


@functools.lru_cache(8)
def _blur_matrix(length: int, size: int, device: torch.device) -> Tensor:
    """(length, length) matrix that blurs a line of pixels with reflected ends; sigma by OpenCV's rule."""
    reach = size // 2
    sigma = 0.3 * (reach - 1) + 0.8
    offsets = torch.arange(-reach, reach + 1)
    taps = torch.exp(-(offsets.double() ** 2) / (2 * sigma**2))
    source = (torch.arange(length).view(-1, 1) + offsets).abs()
    source = torch.minimum(source, 2 * (length - 1) - source)
    matrix = torch.zeros(length, length, dtype=torch.float64)
    return matrix.scatter_add_(1, source, (taps / taps.sum()).expand(length, -1)).float().to(device)


def _separable(images: Tensor, rows: Tensor, columns: Tensor, reach: int) -> Tensor:
    """rows @ image @ columns^T, skipping what lies outside the bands of the two matrices."""
    planes = images.flatten(0, 1)
    parts = []
    for start in range(0, planes.shape[1], _BLOCK):
        band = slice(max(0, start - reach), start + _BLOCK + reach)
        parts.append(rows[start : start + _BLOCK, band] @ planes[:, band])
    lines = torch.cat(parts, dim=1).flatten(0, 1)
    parts = []
    for start in range(0, lines.shape[1], _BLOCK):
        band = slice(max(0, start - reach), start + _BLOCK + reach)
        parts.append(lines[:, band] @ columns[start : start + _BLOCK, band].T)
    return torch.cat(parts, dim=1).view_as(images)
