"""Does a row generalize better to degradations that are simpler than those it was trained on?

Adding less detail raises neither the detail cosine nor the PSNR at the best amplitude, so these are compared; and the
cosine a second time where both have fitted their training's degradation equally well (`equal_fit`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from blindsr.config.schema import CaseParams
from blindsr.reporting import differences, equal_fit, statistics, tables
from blindsr.reporting.differences import ALPHA
from blindsr.reporting.rescaled import RESCALED
from blindsr.reporting.scores import BASELINE, CONTROL, HARDEST
from blindsr.reporting.tables import HOLE, Table

MARGINS = {"detail_cosine": 0.01, "psnr_best_db": 0.05, "psnr_db": 0.05}
"""Measure -> largest difference that counts as none; a cosine has no unit, the others are in dB."""
_OVER = (BASELINE, CONTROL, "dropout")
SIMPLER, EQUAL_FIT = "simpler", "simpler, equal fit"
_KEYS = ["backbone", "reg", "over", "measure", "cases"]
_SHOWN = {
    ("detail_cosine", SIMPLER): "cosine, simpler cases",
    ("psnr_best_db", SIMPLER): "best PSNR, simpler cases",
    ("psnr_db", SIMPLER): "PSNR, simpler cases",
    ("detail_cosine", HARDEST): f"cosine, {HARDEST}",
    ("detail_cosine", EQUAL_FIT): "cosine, simpler cases at equal fit",
}


def simpler(cases: Mapping[str, CaseParams]) -> list[str]:
    """The cases that degrade in one way at most: training always blurs, adds noise and compresses."""
    return [name for name, case in cases.items() if len(case.model_dump(exclude_none=True)) <= 1]


def frame(
    scores: pd.DataFrame,
    benchmarks: Sequence[str],
    cases: Mapping[str, CaseParams],
    curves: pd.DataFrame,
    watched: Mapping[str, CaseParams],
) -> pd.DataFrame:
    """Every regularizer over `none`, over `two_views` and over `dropout`, each pair once.

    Args:
        scores: As from `scores.read`, of the test cases.
        benchmarks: That are pooled, and count alike.
        cases: The test cases.
        curves: Learning curves of all runs, as from `analyses.read`.
        watched: Cases of the validation while training.

    Returns:
        Columns backbone, reg, over, measure, cases ("simpler", the hardest case, or "simpler, equal fit"), seeds,
        difference, low, high (95 % interval), p_holm (a family for each measure and cases), mark ("better", "worse",
        "equivalent" or ""). Empty without simpler cases or the metrics of detail.
    """
    groups = {SIMPLER: simpler(cases)} | ({HARDEST: [HARDEST]} if HARDEST in cases else {})
    measures = [name for name in MARGINS if name in scores]
    if not groups[SIMPLER] or "detail_cosine" not in measures:
        return pd.DataFrame()
    trained = scores[scores["backbone"].isin(scores.loc[scores["reg"] == BASELINE, "backbone"])]
    trained = trained[trained["reg"] != RESCALED]  # its cosine is that of the baseline
    rows = []
    for number, over in enumerate(_OVER):
        own = trained[~trained["reg"].isin(_OVER[:number])]  # not the same pair twice
        for measure in measures:
            for where, names in groups.items():
                found = differences.pooled(own, benchmarks, names, measure, baseline=over, margin=MARGINS[measure])
                rows.append(found.assign(over=over, measure=measure, cases=where))
        watching = simpler(watched)
        for backbone, reg in differences.compared(own, over):
            paired = equal_fit.compare(curves, backbone, reg, over, watching, "detail_cosine")
            if paired:
                keys = {"backbone": backbone, "reg": reg, "over": over, "measure": "detail_cosine"}
                row = keys | {"cases": EQUAL_FIT, "seeds": paired.pairs} | paired._asdict()
                rows.append(pd.DataFrame([row]).drop(columns="pairs"))
    return _judged(pd.concat(rows, ignore_index=True))


def _judged(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.reindex(columns=[*_KEYS, "seeds", "difference", "low", "high", "p", "p_equivalent"])
    families = rows.groupby(["measure", "cases"])
    p, equivalent = (families[name].transform(statistics.holm) for name in ("p", "p_equivalent"))
    signs = statistics.significant_sign(p, rows["low"], rows["high"], ALPHA)
    marks = np.select([signs > 0, signs < 0, equivalent < ALPHA], ["better", "worse", "equivalent"], "")
    return rows.assign(p_holm=p, mark=marks).drop(columns=["p", "p_equivalent"])


def write(rows: pd.DataFrame, stem: Path, *, title: str, notes: Sequence[str]) -> Table:
    """Write the table of `frame`: <stem>.csv with a line for each comparison, <stem>.md and <stem>.tex beside it.

    Args:
        rows: From `frame`.
        stem: Path of the files, without suffix.
        title: Title of the table.
        notes: Lines below the table, after how to read it.

    Returns:
        The table as it is shown, with a line for each row and baseline.
    """
    full = rows.copy()
    for name in ("difference", "low", "high"):
        full[name] = [HOLE if pd.isna(value) else f"{value:+.4f}" for value in rows[name]]
    full["p_holm"] = [HOLE if pd.isna(value) else f"{value:.3f}" for value in rows["p_holm"]]
    full["seeds"] = [HOLE if pd.isna(value) else f"{value:.0f}" for value in rows["seeds"]]
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows.itertuples(index=False):
        line = cells.setdefault((row.backbone, row.reg, row.over), dict.fromkeys(_SHOWN.values(), HOLE))
        if (row.measure, row.cases) in _SHOWN and not pd.isna(row.difference):
            interval = "" if pd.isna(row.low) else f" [{row.low:+.3f}, {row.high:+.3f}]"
            line[_SHOWN[row.measure, row.cases]] = f"{row.difference:+.3f}{interval} {row.mark}".rstrip()
    lines = [{"backbone": key[0], "reg": key[1], "over": key[2]} | line for key, line in cells.items()]
    return tables.write_text(full, pd.DataFrame(lines), stem, left=3, title=title, notes=[*_how_to_read(), *notes])


def _how_to_read() -> list[str]:
    return [
        "Row minus the row `over` of the same backbone, with 95 % intervals over images and seeds; benchmarks count "
        "alike. Simpler cases: one degradation or none, where training has all of them. Cosine: how right the detail "
        "is that is added to a bicubic upsampling. Best PSNR: at the best amount of that detail, in dB. Adding less "
        "detail raises neither.",
        "Equal fit: windows of training images, at the highest PSNR under the training's degradation that both runs "
        "of a seed reach; Student's interval over the seeds.",
        f"Marks after Holm's correction over the comparisons of a column, p below {ALPHA:g}; equivalent: a cosine "
        f"within ±{MARGINS['detail_cosine']:g}, a PSNR within ±{MARGINS['psnr_best_db']:g} dB.",
    ]
