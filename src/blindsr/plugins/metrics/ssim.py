"""Structural similarity (Wang et al., "Image quality assessment: from error visibility to structural
similarity", IEEE TIP 2004)."""

import math

import cv2
import numpy as np

from blindsr.plugins.metrics.base import RGB, Metric, cropped_pair

_WINDOW = 11  # px; side of the smallest image
_SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2
# positions scored at once: some ten float64 planes of them fit into a CPU's cache, whatever the image's size
_POSITIONS = 2**14


def build(*, crop_border: int = 4) -> Metric:
    """SSIM of uint8 images.

    Args:
        crop_border: px removed at each side first.
    """
    return Metric(
        "ssim",
        label="SSIM",
        unit="",
        decimals=4,
        higher_is_better=True,
        measure=lambda sr, hr, lr: ssim(sr, hr, crop_border),
    )


def ssim(sr: RGB, hr: RGB, crop_border: int = 4) -> float:
    """Mean SSIM of two images: per channel, then over the channels.

    An 11×11 Gaussian window with sigma 1.5, population (co)variances, K1 0.01, K2 0.03, range 255, averaged over the
    positions where the window lies inside. The same as BasicSR's calculate_ssim (metrics/psnr_ssim.py) and as
    scikit-image's structural_similarity with gaussian_weights and use_sample_covariance=False.

    Args:
        sr: RGB uint8 (H, W, 3).
        hr: Likewise.
        crop_border: px removed from each side first.

    Returns:
        At most 1, which equal images have.

    Raises:
        ValueError: for another type or layout.
        UserError: for sizes that differ or are too small.
    """
    sr, hr = cropped_pair(sr, hr, crop_border, smallest=_WINDOW)
    height, width = hr.shape[0] - _WINDOW + 1, hr.shape[1] - _WINDOW + 1
    rows = max(1, _POSITIONS // width)
    strips = (slice(top, min(top + rows, height) + _WINDOW - 1) for top in range(0, height, rows))
    return math.fsum(_sum(sr[strip], hr[strip]) for strip in strips) / (height * width * 3)


def _sum(sr: RGB, hr: RGB) -> float:
    """Sum of the score over channels and over the positions where the window lies inside the two images."""
    a, b = sr.astype(np.float64), hr.astype(np.float64)
    mean_a, mean_b = _smooth(a), _smooth(b)
    product, energy = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance = _smooth(a * b) - product
    variances = _smooth(a**2 + b**2) - energy
    score = ((2 * product + _C1) * (2 * covariance + _C2)) / ((energy + _C1) * (variances + _C2))
    return float(score.sum())


def _smooth(planes: np.ndarray) -> np.ndarray:
    kernel = cv2.getGaussianKernel(_WINDOW, _SIGMA)
    margin = _WINDOW // 2
    return cv2.sepFilter2D(planes, -1, kernel, kernel)[margin:-margin, margin:-margin]
