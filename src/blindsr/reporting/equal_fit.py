"""Does a method generalize better, or has it only fitted less? Learning curves compared where the fit is equal.

A training that is stopped early is better on unseen degradations too. So two runs are compared where both have the
same PSNR under the degradation that they train on: the highest that both reach.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from blindsr.config.schema import TRAINED

_FIT = f"psnr_db_{TRAINED}"


class Paired(NamedTuple):
    """A mean of differences of pairs of runs; NaN where a number needs more pairs than there are."""

    difference: float
    low: float
    """Lower end of Student's 95 % interval over the pairs."""
    high: float
    p: float
    """Two-sided, that the mean is 0; not corrected."""
    pairs: int


def compare(
    curves: pd.DataFrame, backbone: str, reg: str, baseline: str, cases: Sequence[str], measure: str
) -> Paired | None:
    """What a regularizer has over a baseline at equal fit, on cases of the validation.

    Runs are paired by seed: they share initial weights and batches.

    Args:
        curves: Learning curves of all runs, as from `analyses.read`.
        backbone: Of both.
        reg: The regularizer.
        baseline: Another one.
        cases: Of the validation, by their names in `train.validation.cases`.
        measure: "psnr_db", "detail_cosine" or "detail_amplitude".

    Returns:
        Regularizer minus baseline; None where the curves lack the fit or a case, or no seed has both.
    """
    columns = [f"{measure}_{case.replace('+', '-')}" for case in cases]
    if not columns or not {_FIT, *columns} <= set(curves):
        return None
    known = curves[curves["backbone"] == backbone].dropna(subset=[_FIT])
    known = known.assign(value=known[columns].mean(axis=1, skipna=False))
    runs = {key: run.sort_values("iteration") for key, run in known.groupby(["reg", "seed"])}
    seeds = [seed for name, seed in runs if name == reg and (baseline, seed) in runs]
    differences = np.array([_difference(runs[reg, seed], runs[baseline, seed]) for seed in seeds])
    return _paired(differences) if len(differences) else None


def _difference(run: pd.DataFrame, other: pd.DataFrame) -> float:
    fit = min(run[_FIT].max(), other[_FIT].max())
    return _at(run, fit) - _at(other, fit)


def _at(run: pd.DataFrame, fit: float) -> float:
    """The value where the curve first reaches a fit, between two points by a straight line."""
    best = run[_FIT].cummax().to_numpy()
    values = run["value"].to_numpy()
    after = int(np.argmax(best >= fit))
    if after == 0:
        return float(values[0])
    share = (fit - best[after - 1]) / (best[after] - best[after - 1])
    return float(values[after - 1] + share * (values[after] - values[after - 1]))


def _paired(differences: NDArray[np.float64]) -> Paired:
    mean, count = float(differences.mean()), len(differences)
    error = float(differences.std(ddof=1)) / count**0.5 if count > 1 else float("nan")
    if not error > 0:
        return Paired(mean, float("nan"), float("nan"), float("nan"), count)
    reach = float(stats.t.ppf(0.975, count - 1)) * error
    return Paired(mean, mean - reach, mean + reach, float(2 * stats.t.sf(abs(mean) / error, count - 1)), count)
