"""Peak signal-to-noise ratio on RGB, on luma, and at the best shift, in dB for a peak of 255.

All take uint8 RGB images of shape (H, W, 3) and remove `crop_border` pixels from each side first. Equal ones
give infinity. Raise ValueError for another type or layout, UserError for sizes that differ or are too small.
"""

import math

import numpy as np

from blindsr.plugins.metrics.base import RGB, cropped_pair
from blindsr.runtime.errors import UserError

# BT.601 luma of R, G, B in [0, 1], as MATLAB's rgb2ycbcr: 16 + this product, in [16, 235]
_LUMA = np.array([65.481, 128.553, 24.966])


def psnr(sr: RGB, hr: RGB, crop_border: int = 4) -> float:
    """PSNR over all pixels and channels, the number of the paper's tables (BasicSR metrics/psnr_ssim.py)."""
    sr, hr = cropped_pair(sr, hr, crop_border)
    difference = sr.astype(np.int32) - hr
    return _decibel(float(np.mean(np.square(difference), dtype=np.float64)))


def psnr_y(sr: RGB, hr: RGB, crop_border: int = 4) -> float:
    """PSNR of the BT.601 luma Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, not rounded.

    The same as BasicSR with test_y_channel (metrics/metric_util.py), which computes Y in float32.
    """
    sr, hr = cropped_pair(sr, hr, crop_border)
    # the offset 16 cancels in the difference
    difference = (sr.astype(np.int32) - hr) @ (_LUMA / 255)
    return _decibel(float(np.mean(np.square(difference))))


def psnr_best_shift(sr: RGB, hr: RGB, max_shift: int, crop_border: int = 4) -> tuple[float, tuple[int, int]]:
    """The highest PSNR over whole-pixel shifts of `sr` by up to ±`max_shift`, and that shift (down, right).

    For references that are not aligned with the input, as those of NTIRE 2018. All shifts are scored on one
    window of `hr`, `crop_border` + `max_shift` pixels from its border, so that they compare the same pixels;
    at `max_shift` 0 this is `psnr`. A shift of (1, 0) says that the content of `sr` must move down by one
    pixel to meet `hr`. Of equal scores the smallest shift is returned.
    """
    from scipy.signal import fftconvolve  # takes a second to import, which plain PSNR need not pay

    if max_shift < 0:
        raise UserError(f"max_shift must be 0 or more, got {max_shift}")
    sr, hr = cropped_pair(sr, hr, crop_border, smallest=2 * max_shift + 1)
    height, width = hr.shape[0] - 2 * max_shift, hr.shape[1] - 2 * max_shift
    window = hr[max_shift : max_shift + height, max_shift : max_shift + width]

    # sum of squared differences = Σ sr² + Σ hr² - 2 Σ sr·hr for the window placed at every offset in sr
    placed, target = sr.astype(np.float64), window.astype(np.float64)
    energy = fftconvolve(np.sum(placed**2, axis=2), np.ones((height, width)), mode="valid")
    product = sum(
        fftconvolve(placed[..., channel], target[::-1, ::-1, channel], mode="valid") for channel in range(3)
    )
    error = energy - 2 * product
    offset = np.arange(2 * max_shift + 1) - max_shift
    distance = offset[:, None] ** 2 + offset[None, :] ** 2
    # rounding of the Fourier transform must not decide between equal scores
    best = np.argwhere(error <= error.min() + 1e-9 * (energy.max() + 1))
    top, left = min(best.tolist(), key=lambda place: distance[place[0], place[1]])
    moved = sr[top : top + height, left : left + width]
    return psnr(moved, window, crop_border=0), (max_shift - top, max_shift - left)


def _decibel(mean_squared_error: float) -> float:
    return 10 * math.log10(255**2 / mean_squared_error) if mean_squared_error else math.inf
