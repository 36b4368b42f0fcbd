"""Resizing by torch's interpolation, without antialiasing, as in the public degradation code."""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

Mode = Literal["area", "bilinear", "bicubic", "nearest"]
MODES: tuple[Mode, ...] = get_args(Mode)


def resize(images: Tensor, size: tuple[int, int] | float, mode: Mode) -> Tensor:
    """Resize images (N, 3, H, W) to `size`, a (height, width) in pixels or a factor.

    A factor f gives floor(f H) x floor(f W) pixels spaced exactly 1/f apart, as the first resize of the
    released code does; a (height, width) stretches the whole image to it, as the others do. The two agree
    where f H and f W are whole. Bicubic results may leave [0, 1]; nearest keeps every s-th pixel, from the first
    on, where a side is divided by s. Raises ValueError for an unknown `mode` and for a result without pixels.
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
