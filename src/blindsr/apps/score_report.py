"""Scores of one network on one folder, as a table for a person and as JSON for a program."""

import json
import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from blindsr.evaluation.scoring import Score
from blindsr.plugins.metrics.base import Metric
from blindsr.runtime import escaping


def print_table(name: str, scores: Sequence[Score], metrics: Sequence[Metric], cases: Sequence[str]) -> None:
    """Print a row per case, and their mean, with a column per metric; `name` says what of."""
    means = _means(scores, [metric.name for metric in metrics])
    table = Table()
    table.add_column("case", no_wrap=True)
    for metric in metrics:  # a word a line: all metrics fit into 80 columns
        table.add_column(metric.name.replace("_", "\n"), justify="right", no_wrap=True)
    for case in cases:
        table.add_row(case, *(_shown(metric, means[metric.name].get(case)) for metric in metrics))
    table.add_section()
    table.add_row("mean", *(_shown(metric, _mean(means[metric.name], cases)) for metric in metrics))
    console, count = Console(), len({score.key.image for score in scores})
    # not as the table's title, which would be broken to the width of its few columns
    of = "1 image" if count == 1 else f"mean of {count} images"
    console.print(escaping.terminal(f"{name}, {of}"), soft_wrap=True, markup=False, highlight=False)
    console.print(table)
    infinite = _exact(scores)
    if infinite:
        console.print(
            f"left out of the means: {infinite} of {len(scores)} scores, of images that are restored exactly "
            "(infinite PSNR)", soft_wrap=True, markup=False, highlight=False
        )  # fmt: skip


def _exact(scores: Sequence[Score]) -> int:
    """How many are of images that are restored exactly."""
    return sum(any(map(math.isinf, score.values.values())) for score in scores)


def _mean(values: dict[str, float], cases: Sequence[str]) -> float | None:
    """Mean over the cases; None if one is missing."""
    return sum(values.values()) / len(cases) if len(values) == len(cases) else None


def _shown(metric: Metric, value: float | None) -> str:
    return "-" if value is None else f"{value:.{metric.decimals}f}"


def _means(scores: Sequence[Score], metrics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Metric -> case -> mean over the images; what was not computed is left out, and so is an infinite PSNR."""
    means: dict[str, dict[str, list[float]]] = {metric: {} for metric in metrics}
    for score in scores:
        for metric, values in means.items():
            value = score.values.get(metric, math.nan)
            if math.isfinite(value):
                values.setdefault(score.key.case, []).append(value)
    return {m: {case: sum(v) / len(v) for case, v in values.items()} for m, values in means.items()}


def as_json(about: dict[str, Any], scores: Sequence[Score], metrics: Sequence[str], problems: Sequence[str]) -> str:
    """What was scored, means and rows; infinite PSNR (of equal images) and what was not computed are null.

    How many scores are infinite, and so in no mean, is "restored_exactly".
    """
    report = about | {
        "images": len({score.key.image for score in scores}),
        "restored_exactly": _exact(scores),
        "means": _means(scores, metrics),
        "scores": [score.key._asdict() | {name: score.values.get(name) for name in metrics} for score in scores],
        "problems": list(problems),
    }
    return json.dumps(_finite(report), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
