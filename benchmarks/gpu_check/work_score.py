"""In a worker: PSNR under the eight test cases, and what a gain over bicubic upsampling is made of."""

import functools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from blindsr.data import images, suite
from blindsr.data.images import RGB
from blindsr.model import inference
from blindsr.plugins.metrics.base import cropped_pair
from blindsr.runtime import parallel

_SCALE, _BORDER = 4, 4
_SMALL = 96  # px: side of the one image that a small check scores


class Degraded(NamedTuple):
    """An HR image with its LR image and its bicubic SR image for each case."""

    benchmark: str
    name: str
    hr: RGB
    lr: dict[str, RGB]
    bicubic: dict[str, RGB]


class Suite:
    """The test images in memory."""

    def __init__(self, folders: dict[str, Path], small: bool) -> None:
        """Degrades all images of each benchmark; `small`: a corner of the first."""
        self._threads = min(4, parallel.usable_cores())
        found = [
            (benchmark, path)
            for benchmark, folder in folders.items()
            for path in sorted(folder.iterdir())[: 1 if small else None]
            if path.suffix.lower() in images.SUFFIXES
        ]
        make = functools.partial(_degraded, small)
        self.images: list[Degraded] = list(parallel.map_ordered(make, found, self._threads))

    def score(self, network: nn.Module) -> list[dict[str, Any]]:
        """A row for each image and case: benchmark, case, image, and the values of `values`."""
        rows: list[dict[str, Any]] = []
        for image in self.images:
            srs = inference.upscale_rgb(network, list(image.lr.values()), _SCALE, "auto", overlap=32)
            pairs = zip(image.lr, srs, strict=True)
            rows += parallel.map_ordered(functools.partial(_row, image), pairs, self._threads)
        return rows


def _degraded(small: bool, found: tuple[str, Path]) -> Degraded:
    benchmark, path = found
    hr = images.mod_crop(images.read_hr(path), _SCALE)
    if small:
        hr = np.ascontiguousarray(hr[:_SMALL, :_SMALL])
    lr = dict(suite.degrade_suite(hr, suite.PAPER, benchmark, path.stem, _SCALE))
    return Degraded(benchmark, path.stem, hr, lr, {c: images.bicubic_upscale(one, _SCALE) for c, one in lr.items()})


def _row(image: Degraded, pair: tuple[str, RGB]) -> dict[str, Any]:
    case, sr = pair
    named = {"benchmark": image.benchmark, "case": case, "image": image.name}
    return named | values(sr, image.hr, image.bicubic[case])


def values(sr: RGB, hr: RGB, bicubic: RGB, border: int = _BORDER) -> dict[str, float | None]:
    """PSNR in dB of an SR image and of the bicubic one, and the parts of their difference.

    With D = HR - bicubic, the detail that is missing, and R = SR - bicubic, what the network adds, both without
    border: `detail_cosine` is c = <D, R> / (|D| |R|), `detail_amplitude` is g = |R| / |D|, and exactly
    psnr_db = bicubic_db - 10 log10(1 - 2 g c + g²). What is not defined is None.
    """
    (sr_, hr_), (bicubic_, _) = cropped_pair(sr, hr, border), cropped_pair(bicubic, hr, border)
    base = bicubic_.astype(np.float64)
    missing, added = hr_ - base, sr_ - base
    # whole numbers, exact in float64: so the two PSNRs are those of `plugins.metrics.psnr_db` to the last digits
    dd, rr, dr = (float(np.vdot(a, b)) for a, b in ((missing, missing), (added, added), (missing, added)))
    return {
        "psnr_db": _decibel((dd - 2 * dr + rr) / missing.size),
        "bicubic_db": _decibel(dd / missing.size),
        "detail_cosine": dr / math.sqrt(dd * rr) if dd and rr else None,
        "detail_amplitude": math.sqrt(rr / dd) if dd else None,
    }


def _decibel(mean_squared_error: float) -> float | None:
    return 10 * math.log10(255**2 / mean_squared_error) if mean_squared_error else None
