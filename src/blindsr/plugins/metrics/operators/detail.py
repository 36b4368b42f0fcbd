"""What a network adds to a bicubic upsampling: how right it is, and how much of it there is.

With B the bicubic upsampling of the LR image, D = HR - B the detail that is missing and R = SR - B what the network
adds: |SR - HR|² = |D|² - 2 <D, R> + |R|². So with the cosine c = <D, R> / (|D| |R|) and the amplitude g = |R| / |D|,
PSNR(SR) = PSNR(B) - 10 log10(1 - 2 g c + g²), exactly. Turning R up or down changes g alone, and never c.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from blindsr.plugins.metrics.base import RGB, Metric, cropped_pair, decibel
from blindsr.runtime.errors import UserError

_ROWS = 64  # worked on at once: a whole photo in float64 would take gigabytes


@dataclass(frozen=True)
class Detail:
    """Inner products of D and R over all pixels and channels, in squared levels of 0..255."""

    missing: float
    """|D|²."""
    added: float
    """|R|²."""
    product: float
    """<D, R>."""
    count: int
    """Numbers in each: pixels times three."""

    @property
    def cosine(self) -> float:
        """c in [-1, 1]; NaN where nothing is missing or nothing is added."""
        norms = math.sqrt(self.missing * self.added)
        return self.product / norms if norms else math.nan

    @property
    def amplitude(self) -> float:
        """g >= 0; NaN where nothing is missing."""
        return math.sqrt(self.added / self.missing) if self.missing else math.nan

    @property
    def psnr(self) -> float:
        """PSNR in dB of SR, as `psnr_db` has it."""
        return decibel((self.missing - 2 * self.product + self.added) / self.count)

    @property
    def best_psnr(self) -> float:
        """PSNR in dB of B + aR for the best a >= 0, not rounded to 8 bits; that of B where c <= 0."""
        gained = self.product**2 / self.added if self.product > 0 else 0.0
        return decibel(max(0.0, self.missing - gained) / self.count)


@dataclass(frozen=True)
class DetailOf:
    """Computes the `Detail` of (SR, HR, LR); equal ones compute the same."""

    crop_border: int

    def __call__(self, sr: RGB, hr: RGB, lr: RGB) -> Detail:
        """Detail of uint8 RGB images (H, W, 3), the LR of (H / s, W / s), without `crop_border` px at each side.

        B is Pillow's BICUBIC, rounded to 8 bits as the row `bicubic` of the tables: the sums are of whole numbers,
        and exact.

        Raises:
            ValueError: for another type or layout.
            UserError: for sizes that do not fit.
        """
        (sr_, hr_), (height, width) = cropped_pair(sr, hr, self.crop_border), hr.shape[:2]
        if not lr.size or height % lr.shape[0] or width % lr.shape[1]:
            sizes = f"{width}×{height} is no multiple of {lr.shape[1]}×{lr.shape[0]}"
            raise UserError(f"{sizes}: what a network adds can only be told of a whole scale")
        whole = np.asarray(Image.fromarray(lr).resize((width, height), Image.Resampling.BICUBIC))
        base, _ = cropped_pair(whole, hr, self.crop_border)
        sums = np.zeros(3)
        for top in range(0, len(hr_), _ROWS):
            rows = slice(top, top + _ROWS)
            below = base[rows].astype(np.float64)
            d, r = hr_[rows] - below, sr_[rows] - below
            # not np.vdot: the threads of BLAS spin for a while after it, and take the cores from the network
            sums += [np.einsum("ijk,ijk", one, other) for one, other in ((d, d), (r, r), (d, r))]
        missing, added, product = sums.tolist()
        return Detail(missing, added, product, hr_.size)


def metric(
    name: str,
    label: str,
    unit: str,
    decimals: int,
    value: Callable[[Detail], float],
    crop_border: int,
    higher_is_better: bool | None = True,
) -> Metric:
    """The record of a metric that is a `value` of the detail, which all such metrics share."""
    detail_of = DetailOf(crop_border)
    return Metric(
        name,
        label=label,
        unit=unit,
        decimals=decimals,
        higher_is_better=higher_is_better,
        measure=lambda sr, hr, lr: value(detail_of(sr, hr, lr)),
        shared=(detail_of, value),
    )
