"""Frequency error of SR images against HR, per radial band of the 2-D Fourier spectrum (Fig. 2 of the paper)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blindsr.runtime.errors import UserError

# BT.601 luma
_LUMA = np.array([0.299, 0.587, 0.114])
# the corner of the spectrum, half a cycle per pixel along both axes
_HIGHEST = 0.5 * np.sqrt(2)
# magnitudes below this share of the largest one are rounding of the transform, and no base for a percentage
_ROUNDING = 1e-12


def radial_mape(sr: ArrayLike, hr: ArrayLike, bands: int = 32) -> NDArray[np.float64]:
    """Mean absolute percentage error of the spectrum's magnitude in radial bands.

    Of the 2-D FFT of the images' BT.601 luma, the error of a frequency is 100 · ||F_sr| - |F_hr|| / |F_hr| percent,
    and a band's is the mean over its frequencies. Bands are rings of equal width, see `band_edges`; the first
    contains the mean of the image.

    Args:
        sr: RGB (H, W, 3), uint8 or float.
        hr: Likewise, in the same unit.
        bands: Number of bands, >= 1.

    Returns:
        Errors (bands,), in percent. A band without a frequency where HR has energy is NaN, so average over images
        with `np.nanmean`.

    Raises:
        UserError: for images of different sizes.
        ValueError: for other layouts, mixed types or `bands` < 1.
    """
    sr, hr = np.asarray(sr), np.asarray(hr)
    for image in (sr, hr):
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected RGB images of shape (H, W, 3), got shape {image.shape}")
    if (sr.dtype == np.uint8) != (hr.dtype == np.uint8):
        raise ValueError(f"sr is {sr.dtype} and hr is {hr.dtype}: compare images in the same unit")
    if sr.shape != hr.shape:
        sizes = " and ".join(f"{image.shape[1]}×{image.shape[0]}" for image in (sr, hr))
        raise UserError(f"images of different sizes, {sizes}, cannot be compared: crop or pair them again")
    magnitude_sr, magnitude_hr = (np.abs(np.fft.fft2(image @ _LUMA)) for image in (sr, hr))
    counted = magnitude_hr > _ROUNDING * magnitude_hr.max()
    error = 100 * np.abs(magnitude_sr - magnitude_hr)[counted] / magnitude_hr[counted]
    band = radial_bands(hr.shape[0], hr.shape[1], bands)[counted]
    frequencies = np.bincount(band, minlength=bands)
    total = np.bincount(band, weights=error, minlength=bands)
    return np.divide(total, frequencies, out=np.full(bands, np.nan), where=frequencies > 0)


def radial_bands(height: int, width: int, bands: int) -> NDArray[np.int64]:
    """The band of each coefficient of an unshifted 2-D FFT.

    A band is a range of distance from zero frequency in cycles per pixel, so a side's length does not matter.

    Args:
        height: Height of the image, in px.
        width: Its width, in px.
        bands: Number of bands, >= 1.

    Returns:
        Band numbers 0…bands-1, int64 (height, width).

    Raises:
        ValueError: for `bands` < 1.
    """
    if bands < 1:
        raise ValueError(f"bands must be at least 1, got {bands}")
    distance = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    return np.minimum((distance / _HIGHEST * bands).astype(np.int64), bands - 1)


def band_edges(bands: int) -> NDArray[np.float64]:
    """Limits of the bands: equal steps from 0 to the corner of the spectrum at 0.707.

    Args:
        bands: Number of bands.

    Returns:
        Limits (bands + 1,), in cycles per pixel.
    """
    return np.linspace(0, _HIGHEST, bands + 1)
