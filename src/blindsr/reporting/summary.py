"""The few numbers that every experiment has under the same names, for `dvc exp show` and `dvc metrics diff`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from blindsr.config.run import BILINEAR
from blindsr.config.schema import TRAINED
from blindsr.reporting import tables
from blindsr.reporting.source import Source
from blindsr.reporting.tables import MEAN
from blindsr.runtime import files

AS_TRAINED, GAIN = "trained", "gain"
_DETAIL = {"detail_cosine": "cosine", "detail_amplitude": "amplitude"}
_ROW = ["backbone", "reg"]
_DECIMALS = {GAIN: 3, "cosine": 3, "amplitude": 3}
_DECIMALS_DB = 2  # ten experiments in 120 columns


def summary(source: Source) -> dict[str, str | float]:
    """Numbers of one row: of several that were trained, that with the highest mean PSNR.

    Args:
        source: Of a report.

    Returns:
        "run": the row's backbone and regularizer; PSNR in dB over all benchmarks, which count alike: "mean" of the
        cases, that of each of `Source.ends` under its name, and "trained", that of the averaged weights under the
        training's degradation, on windows of training images; "gain" over `bilinear`, the control that every
        experiment has, in dB; "cosine" and "amplitude" of the detail. What is not known is left out; without any
        score, all of it.
    """
    psnr = _means(source.psnr)
    trained = [tuple(row) for row in source.params.rows if not row.is_control and tuple(row) in psnr.index]
    scored = psnr.loc[trained, MEAN].dropna()
    if scored.empty:
        return {}
    best = (backbone, reg) = scored.idxmax()
    found: dict[str, str | float] = {"run": f"{backbone}-{reg}"}
    numbers = {case: psnr.loc[best, case] for case in (MEAN, *source.ends)}
    numbers[AS_TRAINED] = _at_the_end(source.curves, backbone, reg)
    gains = source.over(BILINEAR)
    own = gains[(gains["backbone"] == backbone) & (gains["reg"] == reg)]["difference"]
    numbers[GAIN] = own.iloc[0] if len(own) else float("nan")
    for metric, name in _DETAIL.items():
        if metric in source.metrics:
            values = tables.table(source.scores, metric, source.suite, [*source.rows], source.cases)
            numbers[name] = _means(values).loc[best, MEAN]
    known = {name: float(value) for name, value in numbers.items() if np.isfinite(value)}
    return found | {name: round(value, _DECIMALS.get(name, _DECIMALS_DB)) for name, value in known.items()}


def _means(values: pd.DataFrame) -> pd.DataFrame:
    return values.groupby(level=_ROW, sort=False).mean()


def _at_the_end(curves: pd.DataFrame, backbone: str, reg: str) -> float:
    """PSNR at the last validation of the row's runs, their mean; NaN where none watched it."""
    column = f"psnr_db_{TRAINED}"
    if column not in curves:
        return float("nan")
    own = curves[(curves["backbone"] == backbone) & (curves["reg"] == reg)].dropna(subset=[column])
    return float(own.sort_values("iteration").groupby("seed")[column].last().mean())


def write(source: Source, path: Path) -> None:
    """Write `summary` as flat JSON, in its order."""
    files.write_atomic(path, json.dumps(summary(source), indent=1, allow_nan=False) + "\n")
