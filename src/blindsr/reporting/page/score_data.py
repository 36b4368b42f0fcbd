"""What the page computes with: per-image scores of every row of the tables, compact."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from blindsr.config.run import Row
from blindsr.plugins.metrics.base import Metric
from blindsr.reporting import selection
from blindsr.reporting.scores import BASELINE


def build(
    scores: pd.DataFrame,
    metrics: Mapping[str, Metric],
    rows: Sequence[Row],
    benchmarks: Sequence[str],
    cases: Sequence[str],
) -> dict[str, Any]:
    """The means over seeds of every image, as page.py says. `scores` as from `scores.read`.

    `metrics` are the records of its columns, `rows` in the order of the tables, `benchmarks`
    those of the test cases. Metrics and benchmarks without scores are left out.
    """
    known = {name: scores[scores["benchmark"] == name] for name in benchmarks if (scores["benchmark"] == name).any()}
    images = {name: sorted(mine["image"].unique()) for name, mine in known.items()}
    scored = [metric for metric in metrics.values() if scores[metric.name].notna().any()]
    regularizers = list(dict.fromkeys(reg for backbone, reg in rows if backbone != reg))
    return {
        "metrics": {
            metric.name: {
                "label": metric.title,
                "decimals": metric.decimals,
                "higher_is_better": metric.higher_is_better,
            }
            for metric in scored
        },
        "cases": list(cases),
        "benchmarks": [{"name": name, "images": own} for name, own in images.items()],
        "models": [{"name": row.name, "backbone": row.backbone, "reg": row.reg} for row in rows],
        "values": {metric.name: _values(known, images, rows, cases, metric) for metric in scored},
        "baseline": BASELINE,
        "method": selection.compared(regularizers)[0],
    }


def _values(
    known: Mapping[str, pd.DataFrame],
    images: Mapping[str, list[str]],
    rows: Sequence[Row],
    cases: Sequence[str],
    metric: Metric,
) -> dict[str, Any]:
    """Row -> benchmark -> case -> a number per image, with one decimal more than is shown; None if there is none."""
    found: dict[str, Any] = {row.name: {} for row in rows}
    for benchmark, mine in known.items():
        by_row = dict(list(mine.groupby(["backbone", "reg"], sort=False)))
        for row in rows:
            own = by_row.get(tuple(row))
            if own is None:
                continue
            means = own.groupby(["case", "image"], sort=False)[metric.name].mean()
            wide = means.unstack("image").reindex(index=list(cases), columns=images[benchmark])
            found[row.name][benchmark] = {
                case: [None if np.isnan(value) else round(float(value), metric.decimals + 1) for value in values]
                for case, values in zip(cases, wide.to_numpy(), strict=True)
            }
    return found
