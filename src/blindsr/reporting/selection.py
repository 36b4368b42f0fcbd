"""Which images are shown, and which part of them: by rule, not by hand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from blindsr.data.images import RGB
from blindsr.reporting.scores import BASELINE

OURS = "rff"
"""The paper's method."""


class Choice(NamedTuple):
    """One image to show; `gain_db` is its mean PSNR difference of the two rows that are compared."""

    benchmark: str
    image: str
    rule: str
    gain_db: float


def compared(regularizers: Sequence[str]) -> tuple[str, str | None]:
    """Which regularizer is compared with which: the paper's method, or else the last one, with the baseline.

    Args:
        regularizers: Names of the regularizers, in the order of the settings.

    Returns:
        (method, baseline). A baseline of None stands for bicubic, where the grid has no baseline beside the method.
    """
    others = [name for name in regularizers if name != BASELINE]
    if not others:
        return BASELINE, None
    return OURS if OURS in others else others[-1], BASELINE if BASELINE in regularizers else None


def choose(scores: pd.DataFrame, benchmarks: Sequence[str], method: str, baseline: str | None) -> list[Choice]:
    """The images with the largest and with the median difference, up or down, of each benchmark.

    The difference of an image is the mean over its cases, seeds and backbones of PSNR with the method minus PSNR with
    the baseline. Images of equal difference go by name.

    Args:
        scores: Per-image scores from `scores.read`, with the column psnr_db.
        benchmarks: Names of the benchmarks; one on which the two have no image in common is left out.
        method: Name of a regularizer.
        baseline: Name of a regularizer; None: bicubic.

    Returns:
        Two images of each benchmark, in its order; one of a benchmark that has only one.
    """
    bicubic = scores["backbone"] == "bicubic"
    against = scores[bicubic] if baseline is None else scores[scores["reg"] == baseline]
    chosen = []
    for benchmark in benchmarks:
        means = [
            part[part["benchmark"] == benchmark].groupby("image")["psnr_db"].mean()
            for part in (scores[scores["reg"] == method], against)
        ]
        gains = (means[0] - means[1]).dropna().sort_index()
        ranked = gains.iloc[np.argsort(-gains.abs().to_numpy(), kind="stable")]
        places = {"largest difference": 0, "median difference": len(ranked) // 2}
        for rule, place in places.items() if len(ranked) > 1 else [("only image", 0)][: len(ranked)]:
            chosen.append(Choice(benchmark, str(ranked.index[place]), rule, float(ranked.iloc[place])))
    return chosen


def window(pairs: Sequence[Sequence[RGB]], size: int, scale: int) -> tuple[int, int, int, int]:
    """The square where pairs of SR images differ most.

    Args:
        pairs: Two SR images of one HR image under each of several cases; all are RGB uint8 (H, W, 3), with sides that
            are multiples of `scale`.
        size: Side of the square in px, >= `scale`. Where the image is smaller, its whole side is taken.
        scale: HR px along a side of an LR px.

    Returns:
        (top, left, height, width) in px, all multiples of `scale`, so that the LR image has the same window.
    """
    shape = pairs[0][0].shape[:2]
    total: NDArray[np.float64] = np.zeros(shape)
    for first, second in pairs:
        total += np.square(first.astype(np.float64) - second).sum(axis=2)
    cells = total.reshape(shape[0] // scale, scale, shape[1] // scale, scale).sum((1, 3))
    height, width = (min(size // scale, side) for side in cells.shape)
    corners = np.pad(cells.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = (
        corners[height:, width:] - corners[:-height, width:] - corners[height:, :-width] + corners[:-height, :-width]
    )
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(top) * scale, int(left) * scale, height * scale, width * scale
