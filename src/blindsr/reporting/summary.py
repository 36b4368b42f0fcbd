"""The few numbers that every experiment has under the same names, for `dvc exp show` and `dvc metrics diff`."""

import json
from pathlib import Path

import pandas as pd

from blindsr.config.run import BILINEAR
from blindsr.config.schema import TRAINED
from blindsr.reporting import tables
from blindsr.reporting.scores import BASELINE
from blindsr.reporting.source import Source
from blindsr.reporting.tables import MEAN
from blindsr.runtime import files

AS_TRAINED = "as_trained"
_DETAIL = {"detail_cosine": "cosine", "detail_amplitude": "amplitude"}
_ROW = ["backbone", "reg"]
_DECIMALS = 3


def summary(source: Source) -> dict[str, str | float]:
    """Numbers of one row: of several that were trained, that with the highest mean PSNR.

    Args:
        source: Of a report.

    Returns:
        "run": the row's backbone and regularizer; PSNR in dB over all benchmarks, which count alike: "mean" of the
        cases, that of each of `Source.ends` under its name, and "as_trained", that of the averaged weights under the
        training's degradation, on windows of training images; "cosine" and "amplitude" of the detail; "over_bilinear"
        and "over_none": its gain over these rows in dB. What is not known is left out; without any score, all of it.
    """
    psnr = _means(source.psnr)
    trained = [tuple(row) for row in source.params.rows if not row.is_control and tuple(row) in psnr.index]
    known = psnr.loc[trained, MEAN].dropna()
    if known.empty:
        return {}
    best = (backbone, reg) = known.idxmax()
    found: dict[str, str | float] = {"run": f"{backbone}-{reg}"}
    numbers = {case: psnr.loc[best, case] for case in (MEAN, *source.ends)}
    numbers[AS_TRAINED] = _at_the_end(source.curves, backbone, reg)
    for metric, name in _DETAIL.items():
        if metric in source.metrics:
            values = tables.table(source.scores, metric, source.suite, [*source.rows], source.cases)
            numbers[name] = _means(values).loc[best, MEAN]
    for baseline in (BILINEAR, BASELINE):
        gains = source.over(baseline)
        own = gains[(gains["backbone"] == backbone) & (gains["reg"] == reg)]["difference"]
        numbers[f"over_{baseline}"] = own.iloc[0] if len(own) else float("nan")
    return found | {name: round(float(value), _DECIMALS) for name, value in numbers.items() if not pd.isna(value)}


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
    files.write_atomic(path, json.dumps(summary(source), indent=1) + "\n")
