"""Scores of SR images on arrays and tensors, and what they are made of.

Arrays are (H, W, 3) or (N, H, W, 3), tensors (3, H, W) or (N, 3, H, W): RGB, uint8, or floating-point in [0, 1],
which is rounded to 8 bits first, as images on disk are. SR and HR are of one size, the LR image is a whole scale
smaller.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.api import _ranges
from blindsr.config import registry
from blindsr.data.images import RGB, to_uint8
from blindsr.plugins.metrics.base import Metric
from blindsr.plugins.metrics.operators.detail import Detail, DetailOf
from blindsr.reporting import gain_split
from blindsr.reporting.gain_split import Split

Images = NDArray[Any] | Tensor
"""As the module says."""
Scores = float | NDArray[np.float64]
"""A number for one image, (N,) for N of them."""
_ROUNDING = 1e-3
"""By how much an original may leave [0, 1]."""
_OVERSHOOT = 1.0
"""By how much a network's output may, which is clamped; what is further off is in other units."""

__all__ = [
    "Images",
    "Scores",
    "Split",
    "detail_amplitude",
    "detail_cosine",
    "psnr",
    "psnr_best",
    "psnr_y",
    "split_difference",
    "ssim",
]


def psnr(sr: Images, hr: Images, *, crop_border: int = 4) -> Scores:
    """PSNR on RGB in dB, over all pixels and channels: the number of the paper's tables.

    Args:
        sr: What a network made.
        hr: The originals, of the same shape.
        crop_border: px removed at each side first; papers usually remove as many as the scale.

    Returns:
        dB; infinity for equal images.

    Raises:
        ValueError: for another shape, type or range.
        UserError: for sizes that differ or are too small, or NaN.

    Example:
        >>> import blindsr, numpy as np
        >>> hr = np.full((16, 16, 3), 100, np.uint8)
        >>> round(blindsr.psnr(hr + np.uint8(5), hr), 2)  # 20 log10(255 / 5)
        34.15
    """
    return _scores("psnr_db", sr, hr, None, crop_border)


def psnr_y(sr: Images, hr: Images, *, crop_border: int = 4) -> Scores:
    """PSNR of the BT.601 luma in dB.

    Args:
        sr: What a network made.
        hr: The originals, of the same shape.
        crop_border: As for `psnr`.

    Returns:
        dB; infinity for equal images.

    Raises:
        ValueError: as `psnr` does.
        UserError: likewise.

    Example:
        >>> import blindsr, torch
        >>> hr = torch.full((2, 3, 16, 16), 100 / 255)
        >>> blindsr.psnr_y(hr + 5 / 255, hr).round(2)  # luma has 219 levels: 20 log10(255 / (5 · 219 / 255))
        array([35.47, 35.47])
    """
    return _scores("psnr_y_db", sr, hr, None, crop_border)


def ssim(sr: Images, hr: Images, *, crop_border: int = 4) -> Scores:
    """Structural similarity, mean over channels (Wang et al., IEEE TIP 2004; 11×11 window with sigma 1.5).

    Args:
        sr: What a network made.
        hr: The originals, of the same shape; at least 11 px must be left on each side.
        crop_border: As for `psnr`.

    Returns:
        At most 1, which equal images have.

    Raises:
        ValueError: as `psnr` does.
        UserError: likewise.

    Example:
        >>> import blindsr, numpy as np
        >>> hr = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        >>> blindsr.ssim(hr, hr)
        1.0
    """
    return _scores("ssim", sr, hr, None, crop_border)


def detail_cosine(sr: Images, hr: Images, lr: Images, *, crop_border: int = 4) -> Scores:
    """How right the detail is that a network adds to the bicubic upsampling of the LR image.

    The cosine of D = HR - B and R = SR - B. With it and the amplitude g, PSNR = PSNR(B) - 10 log10(1 - 2gc + g²).

    Args:
        sr: What a network made.
        hr: The originals, of the same shape.
        lr: What it was made of.
        crop_border: As for `psnr`.

    Returns:
        In [-1, 1]; NaN where nothing is missing or nothing is added.

    Raises:
        ValueError: as `psnr` does.
        UserError: likewise, and where HR is no multiple of LR.

    Example:
        >>> import blindsr, numpy as np
        >>> hr = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        >>> lr = np.full((8, 8, 3), 128, np.uint8)  # its bicubic upsampling is 128 everywhere
        >>> half = 128 + (hr.astype(int) - 128) // 2  # half of the detail that is missing
        >>> round(blindsr.detail_cosine(half.astype(np.uint8), hr, lr), 3)
        1.0
    """
    return _scores("detail_cosine", sr, hr, lr, crop_border)


def detail_amplitude(sr: Images, hr: Images, lr: Images, *, crop_border: int = 4) -> Scores:
    """How much detail a network adds to the bicubic upsampling of the LR image, as a share of what is missing.

    Args:
        sr: What a network made.
        hr: The originals, of the same shape.
        lr: What it was made of.
        crop_border: As for `psnr`.

    Returns:
        |SR - B| / |HR - B| >= 0; NaN where nothing is missing.

    Raises:
        ValueError: as `psnr` does.
        UserError: as `detail_cosine` does.

    Example:
        >>> import blindsr, numpy as np
        >>> hr = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        >>> lr = np.full((8, 8, 3), 128, np.uint8)
        >>> half = 128 + (hr.astype(int) - 128) // 2
        >>> round(blindsr.detail_amplitude(half.astype(np.uint8), hr, lr), 2)
        0.5
    """
    return _scores("detail_amplitude", sr, hr, lr, crop_border)


def psnr_best(sr: Images, hr: Images, lr: Images, *, crop_border: int = 4) -> Scores:
    """PSNR in dB if the detail that a network adds were turned up or down to where it is best, image by image.

    Args:
        sr: What a network made.
        hr: The originals, of the same shape.
        lr: What it was made of.
        crop_border: As for `psnr`.

    Returns:
        dB, not below that of bicubic upsampling nor, up to rounding, below `psnr`.

    Raises:
        ValueError: as `psnr` does.
        UserError: as `detail_cosine` does.

    Example:
        >>> import blindsr, numpy as np
        >>> hr = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        >>> lr = np.full((8, 8, 3), 128, np.uint8)
        >>> wrong = 255 - hr  # the opposite of what is missing: best left out
        >>> bool(np.isclose(blindsr.psnr_best(wrong, hr, lr), blindsr.psnr(np.full_like(hr, 128), hr)))
        True
    """
    return _scores("psnr_best_db", sr, hr, lr, crop_border)


def split_difference(sr: Images, other: Images, hr: Images, lr: Images, *, crop_border: int = 4) -> Split:
    """What the difference in PSNR of two networks on the same images is made of.

    Args:
        sr: What one network made.
        other: What the other made, its baseline.
        hr: The originals.
        lr: What both were made of.
        crop_border: As for `psnr`.

    Returns:
        `total`, PSNR minus that of the other in dB, and its two parts, which add up to it: `direction`, detail that
        is more right, and `amplitude`, more or less of it. Arrays of shape (N,), or () for one image.

    Raises:
        ValueError: as `psnr` does.
        UserError: as `detail_cosine` does.

    Example:
        >>> import blindsr, numpy as np
        >>> hr = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        >>> lr = np.full((8, 8, 3), 128, np.uint8)
        >>> half, third = (((128 + (hr - 128.0) / n) / 255) for n in (2, 3))  # both right, one more than the other
        >>> split = blindsr.split_difference(half, third, hr, lr)
        >>> print(f"{abs(split.direction):.1f} {split.amplitude:.1f}")  # 20 log10((1 - 1/3) / (1 - 1/2))
        0.0 2.5
    """
    of = DetailOf(crop_border)
    sides: list[list[Detail]] = [
        [of(*triple) for triple in zip(_images(made), _images(hr, True), _images(lr), strict=True)]
        for made in (sr, other)
    ]
    (c, g), (c0, g0) = ([[d.cosine for d in side], [d.amplitude for d in side]] for side in sides)
    found = gain_split.split(c, g, c0, g0)
    return Split(*(part[0] for part in found)) if sr.ndim == 3 else found


def _scores(name: str, sr: Images, hr: Images, lr: Images | None, crop_border: int) -> Scores:
    """The scores of a metric plug-in; without LR images, of one that does not look at them."""
    metric: Metric = registry.build("metric", name, crop_border=crop_border)
    if getattr(sr, "shape", None) != getattr(hr, "shape", None):
        shapes = " and ".join(str(tuple(getattr(x, "shape", ()))) for x in (sr, hr))
        raise ValueError(f"SR and HR images must have one shape, not {shapes}")
    triples = zip(_images(sr), _images(hr, True), _images(hr if lr is None else lr), strict=True)
    values = [metric.measure(*triple) for triple in triples]
    return values[0] if sr.ndim == 3 else np.array(values)


def _images(images: Images, original: bool = False) -> Iterator[RGB]:
    """Each image as uint8 (H, W, 3); an `original` must lie in [0, 1], an SR image may overshoot and is clamped."""
    if not isinstance(images, np.ndarray | Tensor):
        raise ValueError(f"images must be an array or a tensor, not {type(images).__name__}")
    channels = 3 if isinstance(images, np.ndarray) else images.ndim - 2  # axis, of (N, H, W, 3) or (N, 3, H, W)
    batch = images[None] if images.ndim == 3 else images
    if batch.ndim != 4 or batch.shape[3 if isinstance(images, np.ndarray) else 1] != 3:
        layout = "(H, W, 3) or (N, H, W, 3)" if channels == 3 else "(3, H, W) or (N, 3, H, W)"
        raise ValueError(f"images must be of shape {layout}, not {tuple(images.shape)}")
    for image in batch:
        if isinstance(image, Tensor) and image.dtype == torch.uint8:
            yield np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
        elif isinstance(image, np.ndarray) and image.dtype == np.uint8:
            yield image
        else:
            yield _rounded(
                torch.from_numpy(image.transpose(2, 0, 1)) if isinstance(image, np.ndarray) else image, original
            )


def _rounded(image: Tensor, original: bool) -> RGB:
    if not image.is_floating_point():
        raise ValueError(f"images must be uint8 or floating-point in [0, 1], not {image.dtype}")
    rounded = to_uint8(image)  # says which images have NaN
    _ranges.require_unit(image, _ROUNDING if original else _OVERSHOOT)
    return rounded
