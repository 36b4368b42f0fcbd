"""Peak signal-to-noise ratio on luma, in dB for a peak of 255."""

import numpy as np

from blindsr.plugins.metrics.base import RGB, Metric, cropped_pair, decibel

# BT.601 luma of R, G, B in [0, 1], as MATLAB's rgb2ycbcr: 16 + this product, in [16, 235]
_LUMA = np.array([65.481, 128.553, 24.966])


def build(*, crop_border: int = 4) -> Metric:
    """PSNR-Y in dB of uint8 images.

    Args:
        crop_border: px removed at each side first.
    """
    return Metric(
        "psnr_y_db",
        label="PSNR-Y",
        unit="dB",
        decimals=2,
        higher_is_better=True,
        measure=lambda sr, hr, lr: psnr_y(sr, hr, crop_border),
    )


def psnr_y(sr: RGB, hr: RGB, crop_border: int = 4) -> float:
    """PSNR of the BT.601 luma Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, not rounded.

    The same as BasicSR with test_y_channel (metrics/metric_util.py), which computes Y in float32.

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
    # the offset 16 cancels in the difference
    difference = (sr.astype(np.int32) - hr) @ (_LUMA / 255)
    return decibel(float(np.mean(np.square(difference))))
