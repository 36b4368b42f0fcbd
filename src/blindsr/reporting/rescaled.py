"""The baseline with its detail turned up or down: the control that a gain of amplitude alone does not beat.

A regularizer can gain PSNR by adding less of what is wrong. So the baseline is given the amplitude that suits the
degradation that it was trained on: SR' = B + a (SR - B), for the bicubic upsampling B. One number a for each run, the
one with the least squared error on the validation windows of its training (`detail_scale_training` at the end of the
learning curve), never chosen on a benchmark. No image is made: the cosine of the added detail stays, its amplitude g
becomes a g, and PSNR follows from both (`gain_split`), without rounding to 8 bits.
"""

import numpy as np
import pandas as pd

from blindsr.config.schema import TRAINED
from blindsr.reporting import gain_split
from blindsr.reporting.scores import BASELINE

RESCALED = f"{BASELINE}_rescaled"
"""Name of the rows, where the others have that of a regularizer."""
SCALE = f"detail_scale_{TRAINED}"
NEEDED = ("psnr_db", *gain_split.NEEDED)
"""Metrics that the rows are computed of."""
_RUN = ["backbone", "seed"]


def scales(curves: pd.DataFrame) -> pd.Series:
    """The scale of each run of the baseline, by backbone and seed.

    Args:
        curves: Learning curves of all runs, as from `analyses.read`.

    Returns:
        The last value of each run; empty where training did not record it.
    """
    if SCALE not in curves:
        return pd.Series(dtype=float)
    own = curves[curves["reg"] == BASELINE].dropna(subset=[SCALE]).sort_values("iteration")
    last: pd.Series = own.groupby(_RUN)[SCALE].last()
    return last


def rows(scores: pd.DataFrame, scale: pd.Series) -> pd.DataFrame:
    """Scores of the rescaled baseline, per image and case.

    Args:
        scores: As from `scores.read`.
        scale: As from `scales`.

    Returns:
        A row for each of the baseline's whose run has a scale, with the columns of `scores`; other metrics than
        `NEEDED` and the PSNR at the best amplitude, which stays, are NaN. Empty where a metric of `NEEDED` is not
        scored.
    """
    made = scores[scores["reg"] == BASELINE].copy()
    if not set(NEEDED) <= set(scores) or scale.empty:
        return made.iloc[:0]
    factor = np.array([scale.get(key, np.nan) for key in zip(made["backbone"], made["seed"], strict=True)])
    made, factor = made[np.isfinite(factor)], factor[np.isfinite(factor)]
    cosine, amplitude = made["detail_cosine"].to_numpy(), made["detail_amplitude"].to_numpy()
    before, after = gain_split.gain_db(cosine, amplitude), gain_split.gain_db(cosine, factor * amplitude)
    keys = ["benchmark", "case", "image", "backbone", "seed", "psnr_best_db", "detail_cosine"]
    found = made[[key for key in keys if key in made]].reindex(columns=scores.columns)
    return found.assign(reg=RESCALED, psnr_db=made["psnr_db"] + after - before, detail_amplitude=factor * amplitude)
