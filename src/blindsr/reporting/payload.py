"""What the page computes with: per-image scores of every row of the tables, compact."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from blindsr.reporting.tables import BASELINE

_METRICS = {
    "psnr_db": ("PSNR (dB)", 2, True),
    "psnr_y_db": ("PSNR-Y (dB)", 2, True),
    "ssim": ("SSIM", 4, True),
    "lpips": ("LPIPS", 4, False),
}


def build(
    scores: pd.DataFrame, rows: Sequence[tuple[str, str]], benchmarks: Sequence[str], cases: Sequence[str]
) -> dict[str, Any]:
    """The means over seeds of every image, as page.py says. `scores` as from `tables.read_scores`.

    `rows` are (backbone, regularizer) in the order of the tables. Metrics and benchmarks without scores are left out.
    """
    names = {row: row[0] if row[0] == row[1] else f"{row[0]}-{row[1]}" for row in rows}
    here = [name for name in benchmarks if (scores["benchmark"] == name).any()]
    known = {name: scores[scores["benchmark"] == name] for name in here}
    listed = []
    for name, mine in known.items():
        own = [case for case in cases if (mine["case"] == case).any()] or list(dict.fromkeys(mine["case"]))
        listed.append({"name": name, "images": sorted(mine["image"].unique()), "cases": own})
    metrics = {metric: text for metric, text in _METRICS.items() if scores[metric].notna().any()}
    return {
        "metrics": {
            metric: {"label": label, "decimals": decimals, "higher_is_better": higher}
            for metric, (label, decimals, higher) in metrics.items()
        },
        "cases": list(cases),
        "benchmarks": listed,
        "models": [{"name": name, "backbone": row[0], "reg": row[1]} for row, name in names.items()],
        "values": {
            metric: _values(known, listed, names, metric, decimals + 1)
            for metric, (_, decimals, _) in metrics.items()
        },
        "baseline": BASELINE,
    }


def _values(
    known: Mapping[str, pd.DataFrame],
    listed: Sequence[Mapping[str, Any]],
    names: Mapping[tuple[str, str], str],
    metric: str,
    decimals: int,
) -> dict[str, Any]:
    found: dict[str, Any] = {name: {} for name in names.values()}
    for benchmark in listed:
        means = known[benchmark["name"]].groupby(["backbone", "reg", "case", "image"], sort=False)[metric].mean()
        for row, name in names.items():
            mine = means.get(row)
            if mine is None:
                continue
            wide = mine.unstack("image").reindex(index=benchmark["cases"], columns=benchmark["images"])
            found[name][benchmark["name"]] = {
                str(case): [None if np.isnan(value) else round(float(value), decimals) for value in values]
                for case, values in zip(wide.index, wide.to_numpy(), strict=True)
            }
    return found
