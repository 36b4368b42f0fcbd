"""What the page computes with: per-image scores of every row of the tables, compact."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from blindsr.config.run import Row
from blindsr.reporting import selection
from blindsr.reporting.scores import BASELINE, METRICS

_LABELS = {"psnr_db": "PSNR (dB)", "psnr_y_db": "PSNR-Y (dB)", "ssim": "SSIM", "lpips": "LPIPS"}
_LOWER_IS_BETTER = {"lpips"}


def build(
    scores: pd.DataFrame, rows: Sequence[Row], benchmarks: Sequence[str], cases: Sequence[str]
) -> dict[str, Any]:
    """The means over seeds of every image, as page.py says. `scores` as from `scores.read`.

    `rows` are in the order of the tables, `benchmarks` those of the test cases. Metrics and
    benchmarks without scores are left out.
    """
    known = {name: scores[scores["benchmark"] == name] for name in benchmarks if (scores["benchmark"] == name).any()}
    images = {name: sorted(mine["image"].unique()) for name, mine in known.items()}
    metrics = [metric for metric in METRICS if scores[metric].notna().any()]
    regularizers = list(dict.fromkeys(reg for backbone, reg in rows if backbone != reg))
    return {
        "metrics": {
            metric: {
                "label": _LABELS[metric],
                "decimals": METRICS[metric],
                "higher_is_better": metric not in _LOWER_IS_BETTER,
            }
            for metric in metrics
        },
        "cases": list(cases),
        "benchmarks": [{"name": name, "images": own} for name, own in images.items()],
        "models": [{"name": row.name, "backbone": row.backbone, "reg": row.reg} for row in rows],
        "values": {metric: _values(known, images, rows, cases, metric) for metric in metrics},
        "baseline": BASELINE,
        "method": selection.compared(regularizers)[0],
    }


def _values(
    known: Mapping[str, pd.DataFrame],
    images: Mapping[str, list[str]],
    rows: Sequence[Row],
    cases: Sequence[str],
    metric: str,
) -> dict[str, Any]:
    """Row -> benchmark -> case -> a number per image, with one decimal more than is shown; None if there is none."""
    found: dict[str, Any] = {row.name: {} for row in rows}
    for benchmark, mine in known.items():
        means = mine.groupby(["backbone", "reg", "case", "image"], sort=False)[metric].mean()
        for row in rows:
            own = means.get(row)
            if own is None:
                continue
            wide = own.unstack("image").reindex(index=list(cases), columns=images[benchmark])
            found[row.name][benchmark] = {
                case: [None if np.isnan(value) else round(float(value), METRICS[metric] + 1) for value in values]
                for case, values in zip(cases, wide.to_numpy(), strict=True)
            }
    return found
