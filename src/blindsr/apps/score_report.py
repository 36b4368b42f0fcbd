"""Scores of one network on one folder, as a table for a person and as JSON for a program."""

import json
import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from blindsr.evaluation.scoring import METRICS, Score

_DECIMALS = {"psnr_db": 2, "psnr_y_db": 2, "ssim": 4, "lpips": 4}


def print_table(name: str, scores: Sequence[Score], metrics: Sequence[str], cases: Sequence[str]) -> None:
    """Print a row per case, and their mean, with a column per metric; `name` says what of."""
    means = _means(scores, metrics)
    table = Table()
    table.add_column("case")
    for metric in means:
        table.add_column(metric, justify="right", no_wrap=True)
    for case in cases:
        table.add_row(case, *(_shown(metric, values.get(case)) for metric, values in means.items()))
    table.add_section()
    table.add_row("mean", *(_shown(metric, _mean(values, cases)) for metric, values in means.items()))
    console, count = Console(), len({score.image for score in scores})
    # not as the table's title, which would be broken to the width of its few columns
    console.print(f"{name}, mean of {count} images", soft_wrap=True, markup=False, highlight=False)
    console.print(table)


def _mean(values: dict[str, float], cases: Sequence[str]) -> float | None:
    """Mean over the cases; None if one is missing."""
    return sum(values.values()) / len(cases) if len(values) == len(cases) else None


def _shown(metric: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{_DECIMALS[metric]}f}"


def _means(scores: Sequence[Score], metrics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Metric -> case -> mean over the images; what was not computed is left out."""
    means: dict[str, dict[str, list[float]]] = {metric: {} for metric in METRICS if metric in metrics}
    for score in scores:
        for metric, values in means.items():
            value = getattr(score, metric)
            if value is not None and not math.isnan(value):
                values.setdefault(score.case, []).append(value)
    return {m: {case: sum(v) / len(v) for case, v in values.items()} for m, values in means.items()}


def as_json(about: dict[str, Any], scores: Sequence[Score], metrics: Sequence[str], problems: Sequence[str]) -> str:
    """What was scored, means and rows; infinite PSNR (of equal images) and what was not computed are null."""
    columns = ["benchmark", "case", "image", *METRICS]
    report = about | {
        "images": len({score.image for score in scores}),
        "means": _means(scores, metrics),
        "scores": [{column: getattr(score, column) for column in columns} for score in scores],
        "problems": list(problems),
    }
    return json.dumps(_finite(report), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
