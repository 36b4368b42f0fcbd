"""Peak signal-to-noise ratio at the best whole-pixel shift, of images whose HR is not aligned (NTIRE 2018)."""

import numpy as np

from blindsr.plugins.metrics.base import RGB, Metric, cropped_pair, decibel
from blindsr.runtime.errors import UserError


def build(*, crop_border: int = 4, max_shift: int = 40) -> Metric:
    """Best PSNR in dB over shifts, for pairs that are not aligned (NTIRE 2018).

    Args:
        crop_border: px removed at each side first.
        max_shift: HR px that are tried to each side.
    """
    return Metric(
        "psnr_shift_db",
        label="PSNR at the best shift",
        unit="dB",
        decimals=2,
        higher_is_better=True,
        measure=lambda sr, hr, lr: psnr_best_shift(sr, hr, max_shift, crop_border)[0],
    )


def psnr_best_shift(sr: RGB, hr: RGB, max_shift: int, crop_border: int = 4) -> tuple[float, tuple[int, int]]:
    """The highest PSNR over whole-pixel shifts of `sr` by up to ±`max_shift`, and that shift (down, right).

    For references that are not aligned with the input, as those of NTIRE 2018. All shifts are scored on one
    window of `hr`, `crop_border` + `max_shift` pixels from its border, so that they compare the same pixels;
    at `max_shift` 0 this is the plain PSNR. A shift of (1, 0) says that the content of `sr` must move down by one
    pixel to meet `hr`. Of equal scores the smallest shift is returned.

    Args:
        sr: uint8 RGB image of shape (H, W, 3).
        hr: the same.
        max_shift: HR px searched to each side.
        crop_border: px removed from each side of both first.

    Returns:
        dB (infinity for equal images), and the shift in px.

    Raises:
        ValueError: for another type or layout.
        UserError: for sizes that differ or are too small, or a negative `max_shift`.
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
    # in whole numbers, as the plain PSNR is computed
    moved = sr[top : top + height, left : left + width].astype(np.int32) - window
    score = decibel(float(np.mean(np.square(moved), dtype=np.float64)))
    return score, (max_shift - top, max_shift - left)
