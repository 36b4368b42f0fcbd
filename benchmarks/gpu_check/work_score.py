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
from blindsr.plugins.metrics.base import decibel
from blindsr.plugins.metrics.operators.detail import DetailOf
from blindsr.runtime import parallel

_SCALE, _BORDER = 4, 4
_SMALL = 96  # px: side of the one image that a small check scores


class Degraded(NamedTuple):
    """An HR image with its LR image for each case."""

    benchmark: str
    name: str
    hr: RGB
    lr: dict[str, RGB]


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
    return Degraded(
        benchmark, path.stem, hr, dict(suite.degrade_suite(hr, suite.PAPER, benchmark, path.stem, _SCALE))
    )


def _row(image: Degraded, pair: tuple[str, RGB]) -> dict[str, Any]:
    case, sr = pair
    named = {"benchmark": image.benchmark, "case": case, "image": image.name}
    return named | values(sr, image.hr, image.lr[case])


def values(sr: RGB, hr: RGB, lr: RGB, border: int = _BORDER) -> dict[str, float | None]:
    """PSNR in dB of an SR image and of the bicubic one, and the parts of their difference; None is not defined."""
    detail = DetailOf(border)(sr, hr, lr)
    known = {
        "psnr_db": detail.psnr,
        "bicubic_db": decibel(detail.missing / detail.count),
        "detail_cosine": detail.cosine,
        "detail_amplitude": detail.amplitude,
        "psnr_best_db": detail.best_psnr,
    }
    return {name: value if math.isfinite(value) else None for name, value in known.items()}
