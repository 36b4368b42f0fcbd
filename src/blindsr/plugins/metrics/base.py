"""What a metric is, and what metrics share: checking and cropping a pair of images."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.runtime.errors import UserError

RGB = NDArray[np.uint8]
Against = Callable[[RGB], Callable[[RGB, RGB], float]]
"""An HR image to the function that scores (SR, LR) images of it."""


@dataclass(frozen=True)
class Metric:
    """What is known of a metric: the column of scores, how it is shown, and how it is measured.

    A file of this folder has `build(...) -> Metric`. It may ask for `crop_border` (px to remove at each side) and
    `max_shift` (HR px) of the settings, for `trunk` (path of AlexNet's weights, None where they are not here), for
    `device` (of torch) and for `download` (whether weights may be fetched); each argument needs a default, since
    reports build records without measuring.
    """

    name: str
    """Of the column, the table and the setting: that of the file."""
    label: str
    """What people call it, such as "PSNR"."""
    unit: str
    """Such as "dB"; empty if it has none."""
    decimals: int
    """Shown in tables."""
    higher_is_better: bool | None
    """None where neither more nor less is better by itself."""
    measure: Callable[[RGB, RGB, RGB], float]
    """The score of (SR, HR, LR), uint8 RGB images of shape (H, W, 3), SR and HR of one size; NaN leaves a hole.

    Raises UserError, in one line, for images that cannot be scored.
    """
    reference: Against | None = None
    """`measure` of one HR image, for metrics that compute something of the HR alone: that is then done once."""
    shared: tuple[Callable[[RGB, RGB, RGB], Any], Callable[[Any], float]] | None = None
    """`measure` in two steps, of metrics that have the first one in common, which is then done once: what is computed
    of (SR, HR, LR), hashable and equal where it computes the same, and what this metric makes of it."""
    needs_hr: bool = True
    """False for a metric that does not look at the HR image, and so can be had of photos that have none."""
    made_by: str = ""
    """Name and version of a package that computes it, where that is none of this project's."""
    lacks: str = ""
    """Why it cannot be measured here, such as "no LPIPS trunk weights"; empty if it can."""

    @property
    def title(self) -> str:
        """Label with its unit: "PSNR (dB)"."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def against(self, hr: RGB) -> Callable[[RGB, RGB], float]:
        """Prepare the scoring of SR images against one HR image.

        Args:
            hr: RGB uint8 (H, W, 3).

        Returns:
            Function of an SR image and its LR image, with the score that `measure` gives.
        """
        return self.reference(hr) if self.reference else lambda sr, lr: self.measure(sr, hr, lr)


def cropped_pair(sr: RGB, hr: RGB, crop_border: int, smallest: int = 1) -> tuple[RGB, RGB]:
    """Views of both images without their border.

    Args:
        sr: RGB uint8 (H, W, 3).
        hr: Likewise.
        crop_border: px removed at each side, >= 0.
        smallest: px that must be left on each side.

    Raises:
        ValueError: for another type or layout, or a negative border.
        UserError: for a pair of different sizes, or with less left than `smallest`.
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
            f"{smallest + 2 * crop_border} on each side with a border of {crop_border} removed: leave it out"
        )
    window = slice(crop_border, crop_border + height), slice(crop_border, crop_border + width)
    return sr[window], hr[window]


def decibel(mean_squared_error: float) -> float:
    """PSNR in dB, for a peak of 255: infinite for equal images."""
    return 10 * math.log10(255**2 / mean_squared_error) if mean_squared_error else math.inf
