"""How evenly the channels of a feature map share out the frequencies (Fig. 3 of the paper)."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from torch import Tensor


def channel_entropy(features: Tensor | NDArray[np.floating], bands: int = 16) -> float:
    """Shannon entropy, in nats, of the dominant bands of the channels of `features` (C, H, W).

    0 where all channels are dominated by one band, at most log(bands) where they spread evenly. Channels
    without a dominant band (constant ones) are left out; with none left the entropy is 0.

    Raises ValueError for another shape, pixels that are not finite, or `bands` < 1.
    """
    dominant = dominant_bands(features, bands)
    counts = np.bincount(dominant[dominant >= 0], minlength=bands)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum() + 0.0)


def dominant_bands(features: Tensor | NDArray[np.floating], bands: int = 16) -> NDArray[np.int64]:
    """The band 0…bands-1 with the most energy in the DCT of each channel of `features` (C, H, W); shape (C,).

    The energy of a band is the sum of the squared coefficients of the orthonormal 2-D DCT-II in it, see
    `dct_bands`. The constant coefficient is left out: features have a mean, which would dominate every channel
    and say nothing of frequency. A channel whose other coefficients are all zero has no dominant band: -1.
    """
    values = features.detach().cpu().double().numpy() if isinstance(features, Tensor) else features
    planes = np.asarray(values, dtype=np.float64)
    if planes.ndim != 3 or not planes.size:
        raise ValueError(f"expected features of shape (C, H, W), got {planes.shape}")
    if not np.isfinite(planes).all():
        raise ValueError("features hold NaN or infinite values")
    energy = scipy.fft.dctn(planes, axes=(1, 2), norm="ortho") ** 2
    constant = energy[:, 0, 0].copy()
    energy[:, 0, 0] = 0
    flat_bands = dct_bands(planes.shape[1], planes.shape[2], bands).ravel()
    per_band = np.stack([np.bincount(flat_bands, row.ravel(), minlength=bands) for row in energy])
    total = per_band.sum(axis=1)
    # what rounding of the transform leaves of a constant channel is no frequency
    rounding = planes[0].size * np.finfo(np.float64).eps ** 2 * constant
    return np.where(total > rounding, per_band.argmax(axis=1), -1)


def dct_bands(height: int, width: int, bands: int) -> NDArray[np.int64]:
    """The band of each coefficient (u, v) of a DCT of that size, shape (height, width).

    Bands are rings of equal width in the distance √((u/height)² + (v/width)²), from 0 to √2.
    """
    if bands < 1:
        raise ValueError(f"bands must be at least 1, got {bands}")
    distance = np.hypot(np.arange(height)[:, None] / height, np.arange(width)[None, :] / width)
    return np.minimum((distance / np.sqrt(2) * bands).astype(np.int64), bands - 1)
