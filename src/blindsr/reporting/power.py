"""How many training runs a difference needs to be found, from the variances of those at hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from blindsr.config.run import Row
from blindsr.reporting import differences, statistics, tables
from blindsr.reporting.scores import BASELINE
from blindsr.reporting.statistics import Components
from blindsr.reporting.tables import Table

DIFFERENCES = (0.05, 0.1, 0.2, 0.5)
"""dB."""
POWER = 0.8
MOST = 100
"""Training runs of each side that a table counts to."""
MORE_IMAGES = 4
_ROW = ["backbone", "reg"]
_QUANTILES = 1000


def power(difference: float, seeds: int, of: Components, alpha: float = differences.ALPHA) -> float:
    """Chance that a true difference is found by the test of `statistics.compare`, of one comparison.

    Args:
        difference: True mean difference, in the unit of the scores.
        seeds: Training runs of each side, >= 2.
        of: Where the error comes from.
        alpha: Of the two-sided test.

    Returns:
        In [0, 1].
    """
    parts = np.array([of.images, of.method / seeds, of.baseline / seeds])
    freedom = np.array([of.freedom, seeds - 1, seeds - 1])
    variance = parts.sum()
    if variance == 0:
        return 1.0 if difference else alpha
    degrees = variance**2 / (parts**2 / freedom).sum()
    critical, shift = stats.t.ppf(1 - alpha / 2, degrees), difference / np.sqrt(variance)
    # the noncentral t distribution, over quantiles of the estimated error: scipy's own is NaN far out
    bounds = critical * np.sqrt(stats.chi2.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES, degrees) / degrees)
    return float((stats.norm.sf(bounds - shift) + stats.norm.cdf(-bounds - shift)).mean())


def seeds_needed(difference: float, of: Components, wanted: float = POWER) -> int | None:
    """Fewest training runs of each side that find a difference with the chance `wanted`.

    Returns:
        From 2 to `MOST`; None if as many do not do, since the images limit it.
    """
    found = (seeds for seeds in range(2, MOST + 1) if power(difference, seeds, of) >= wanted)
    return next(found, None)


def frame(scores: pd.DataFrame, benchmarks: Sequence[str], cases: Sequence[str]) -> pd.DataFrame:
    """A row for each regularizer beside the baseline, of PSNR over all benchmarks and cases.

    Args:
        scores: As from `scores.read`, of two seeds or more.
        benchmarks: That are pooled, and count alike.
        cases: Likewise.

    Returns:
        Columns backbone, reg; runs: standard deviation between training runs (dB, of both sides together); images:
        standard error that the limited number of images brings (dB); and for each of `DIFFERENCES` the seeds needed,
        "0.1 dB", and those with `MORE_IMAGES` times as many images, "0.1 dB, 4x images". NaN: more than `MOST`.
    """
    known = differences.arrays(scores, cases, "psnr_db")
    rows = []
    for backbone, reg in differences.compared(scores, BASELINE):
        both = differences.joined(known, benchmarks, Row(backbone, reg), Row(backbone, BASELINE))
        if not both or min(map(len, both[:2])) < 2:
            continue
        method, baseline = (side.mean(2, keepdims=True) for side in both[:2])
        own = statistics.components(method, baseline, groups=both[2])
        row = {
            "backbone": backbone,
            "reg": reg,
            "runs": np.sqrt(own.method + own.baseline),
            "images": own.images**0.5,
        }
        for difference in DIFFERENCES:
            fewer = own._replace(images=own.images / MORE_IMAGES, freedom=own.freedom * MORE_IMAGES)
            row[f"{difference:g} dB"] = seeds_needed(difference, own)
            row[f"{difference:g} dB, {MORE_IMAGES}x images"] = seeds_needed(difference, fewer)
        rows.append(row)
    return pd.DataFrame(rows)


def write(rows: pd.DataFrame, stem: Path, *, title: str, notes: Sequence[str]) -> Table:
    """Write the table of `frame` as <stem>.csv, .md and .tex."""
    text = rows.copy()
    for name in rows.columns.drop(_ROW, errors="ignore"):
        if name in ("runs", "images"):
            text[name] = [f"{value:.3f}" for value in rows[name]]
        else:
            text[name] = [f"> {MOST}" if pd.isna(value) else f"{value:.0f}" for value in rows[name]]
    text = text.rename(columns={"runs": "spread of runs (dB)", "images": "error of images (dB)"})
    how = (
        f"Training runs of each side that find a true difference of mean PSNR to `{BASELINE}` with a chance of "
        f"{POWER:.0%} (t test over seeds and images, p < {differences.ALPHA:g}, one comparison), as the variances of "
        "the runs at hand have it: so few runs tell a spread roughly. Spread: standard deviation between training "
        "runs, of both sides together. Error of images: what the limited number of images adds, which no seed lowers."
    )
    return tables.write_text(text, text, stem, left=2, title=title, notes=[how, *notes])
