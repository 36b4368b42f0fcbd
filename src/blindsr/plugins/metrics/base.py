"""What the metrics share: checking and cropping a pair of images."""

import numpy as np
from numpy.typing import NDArray

from blindsr.runtime.errors import UserError

RGB = NDArray[np.uint8]


def cropped_pair(sr: RGB, hr: RGB, crop_border: int, smallest: int = 1) -> tuple[RGB, RGB]:
    """Views of both uint8 RGB images without `crop_border` pixels on each side.

    Raises ValueError for anything but uint8 (H, W, 3) or a negative border; UserError for a pair of different
    sizes, or one with less than `smallest` pixels left on a side.
    """
    for image in (sr, hr):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 images, got {getattr(image, 'dtype', type(image).__name__)}")
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected RGB images of shape (H, W, 3), got shape {image.shape}")
    if crop_border < 0:
        raise ValueError(f"crop_border must be 0 or more, got {crop_border}")
    if sr.shape != hr.shape:
        sizes = " and ".join(f"{image.shape[1]}×{image.shape[0]}" for image in (sr, hr))
        raise UserError(f"images of different sizes, {sizes}, cannot be compared: crop or pair them again")
    height, width = hr.shape[0] - 2 * crop_border, hr.shape[1] - 2 * crop_border
    if min(height, width) < smallest:
        raise UserError(
            f"an image of {hr.shape[1]}×{hr.shape[0]} pixels is too small: this metric needs "
            f"{smallest + 2 * crop_border} on each side with a border of {crop_border} removed"
        )
    window = slice(crop_border, crop_border + height), slice(crop_border, crop_border + width)
    return sr[window], hr[window]
