"""How evenly the channels of a feature map share out the frequencies (Fig. 3 of the paper)."""

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

GRID = 7
"""FcaNet pools a channel to so many rows and columns before it looks at frequencies (model/layer.py there)."""


def channel_entropy(features: Tensor, grid: int = GRID) -> float:
    """Shannon entropy of the channels' dominant frequencies.

    Args:
        features: (C, H, W).
        grid: Rows and columns that each channel is averaged to first, >= 1.

    Returns:
        Nats: 0 where one frequency dominates all channels, at most log(grid² - 1) where they share out all. Channels
        without a dominant frequency (constant ones) are left out; with none left it is 0.

    Raises:
        ValueError: for another shape, numbers that are not finite, or a grid < 1.
    """
    dominant = dominant_frequencies(features, grid)
    counts = np.bincount(dominant[dominant >= 0], minlength=1)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum() + 0.0)


def dominant_frequencies(features: Tensor, grid: int = GRID) -> NDArray[np.int64]:
    """The coefficient with the most energy in the DCT of each channel, averaged to grid x grid.

    The pooling is FcaNet's (Qin et al., ICCV 2021), and the transform the orthonormal 2-D DCT-II. The constant
    coefficient is left out: features have a mean, which would dominate every channel and say nothing of frequency.

    Args:
        features: (C, H, W).
        grid: As for `channel_entropy`.

    Returns:
        (C,): row times grid plus column of the coefficient; -1 where all but the constant one are zero.

    Raises:
        ValueError: as `channel_entropy`.
    """
    if features.ndim != 3 or not features.numel():
        raise ValueError(f"expected features of shape (C, H, W), got {tuple(features.shape)}")
    if grid < 1:
        raise ValueError(f"grid must be at least 1, got {grid}")
    planes = features.detach().cpu().double()
    if not torch.isfinite(planes).all():
        raise ValueError("features hold NaN or infinite values")
    pooled = F.adaptive_avg_pool2d(planes[None], grid)[0].numpy()
    energy = scipy.fft.dctn(pooled, axes=(1, 2), norm="ortho").reshape(len(pooled), -1) ** 2
    constant = energy[:, 0].copy()
    energy[:, 0] = 0
    # what rounding leaves of a constant channel is no frequency
    rounding = planes[0].numel() * np.finfo(np.float64).eps ** 2 * constant
    return np.where(energy.sum(1) > rounding, energy.argmax(axis=1), -1)
