"""Peak signal-to-noise ratio on RGB, in dB for a peak of 255: the number of the paper's tables."""

import numpy as np

from blindsr.plugins.metrics.base import RGB, Metric, cropped_pair, decibel


def build(*, crop_border: int = 4) -> Metric:
    """PSNR in dB of uint8 images.

    Args:
        crop_border: px removed at each side first.
    """
    return Metric(
        "psnr_db",
        label="PSNR",
        unit="dB",
        decimals=2,
        higher_is_better=True,
        measure=lambda sr, hr, lr: psnr(sr, hr, crop_border),
    )


def psnr(sr: RGB, hr: RGB, crop_border: int = 4) -> float:
    """PSNR over all pixels and channels (BasicSR metrics/psnr_ssim.py).

    Args:
        sr: uint8 RGB image of shape (H, W, 3).
        hr: the same.
        crop_border: px removed from each side of both first.

    Returns:
        dB; infinity for equal images.

    Raises:
        ValueError: for another type or layout.
        UserError: for sizes that differ or are too small.
    """
    sr, hr = cropped_pair(sr, hr, crop_border)
    difference = sr.astype(np.int32) - hr
    return decibel(float(np.mean(np.square(difference), dtype=np.float64)))
