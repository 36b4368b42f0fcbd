"""Resizing by torch's interpolation, without antialiasing, as in the public degradation code."""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

Mode = Literal["area", "bilinear", "bicubic", "nearest"]
MODES: tuple[Mode, ...] = get_args(Mode)


def resize(images: Tensor, size: tuple[int, int] | float, mode: Mode) -> Tensor:
    """Resize images.

    Args:
        images: (N, 3, H, W).
        size: (height, width) in px, to which the whole image is stretched; or a factor f, which gives floor(f·H) x
            floor(f·W) px spaced exactly 1/f apart, as the first resize of the released code does. The two agree where
            f·H and f·W are whole.
        mode: Of interpolation. Bicubic results may leave the range of the images; nearest keeps every s-th px, from
            the first on, where a side is divided by s.

    Returns:
        (N, 3, h, w).

    Raises:
        ValueError: for an unknown mode, and for a result without pixels.
    """
    if mode not in MODES:
        raise ValueError(f"unknown resize mode {mode!r}: choose one of {', '.join(MODES)}")
    height, width = images.shape[-2:]
    new = size if isinstance(size, tuple) else (int(height * size), int(width * size))
    if min(new) < 1:
        raise ValueError(f"an image of {height}x{width} px cannot be resized to {new[0]}x{new[1]}")
    if isinstance(size, tuple):
        return images if size == (height, width) else F.interpolate(images, size=size, mode=mode)
    return images if size == 1 else F.interpolate(images, scale_factor=float(size), mode=mode)
