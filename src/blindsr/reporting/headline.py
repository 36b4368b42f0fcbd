"""The first table: every row with its PSNR, what its detail is worth, and its gains over the controls, split."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from blindsr.config.run import Row
from blindsr.reporting import tables
from blindsr.reporting.rescaled import RESCALED
from blindsr.reporting.scores import BASELINE
from blindsr.reporting.tables import HOLE, MEAN, Table

_KEYS = ["backbone", "reg"]
_OF_DETAIL = {"detail_cosine": "cosine", "detail_amplitude": "amplitude", "psnr_best_db": "PSNR at best amplitude"}
_PARTS = ["direction", "amplitude"]


def frame(
    scores: pd.DataFrame,
    rows: Sequence[Row],
    benchmarks: Sequence[str],
    cases: Sequence[str],
    shown: Sequence[str],
    gains: Mapping[str, pd.DataFrame],
    parts: pd.DataFrame | None,
) -> pd.DataFrame:
    """Numbers of every row, over all benchmarks (which count alike) and cases.

    Args:
        scores: As from `scores.read`, with those of `rescaled.rows`.
        rows: Of the tables, in order.
        benchmarks: Of the test cases.
        cases: Likewise.
        shown: Cases whose PSNR has a column of its own.
        gains: Column -> differences as from `differences.pooled`; an empty one has no column.
        parts: What the first of them is made of, as from `split_table.pooled`; None where that is not known.

    Returns:
        Columns backbone, reg, PSNR under each of `shown` and over all, means of the metrics of detail that were
        scored, and per comparison COLUMN, COLUMN_low, COLUMN_high and COLUMN_mark: those of `gains`, and after the
        first of them "direction of it" and "amplitude of it". NaN where there is none.
    """
    psnr = _means(scores, "psnr_db", rows, benchmarks, cases)
    found = psnr[[*shown, MEAN]].rename(columns={case: f"PSNR {case}" for case in [*shown, MEAN]})
    for metric, name in _OF_DETAIL.items():
        if metric in scores:
            found[name] = _means(scores, metric, rows, benchmarks, cases)[MEAN]
    for number, (column, of_column) in enumerate(gains.items()):
        found = _beside(found, of_column, column)
        if number == 0 and parts is not None:
            for part in _PARTS:
                found = _beside(found, parts[parts["case"] == part], f"{part} of it")
    return found.reset_index()


def _means(
    scores: pd.DataFrame,
    metric: str,
    rows: Sequence[Row],
    benchmarks: Sequence[str],
    cases: Sequence[str],
) -> pd.DataFrame:
    known = [name for name in benchmarks if (scores["benchmark"] == name).any()]
    values = tables.table(scores, metric, known, rows, cases)
    means = values.groupby(level=_KEYS, sort=False).mean()
    index = pd.MultiIndex.from_tuples([*rows], names=_KEYS)
    return means.reindex(index)


def _beside(found: pd.DataFrame, gains: pd.DataFrame, name: str) -> pd.DataFrame:
    if gains.empty:
        return found
    own = gains.set_index(_KEYS)[["difference", "low", "high", "mark"]].reindex(found.index)
    own.columns = pd.Index([name, f"{name}_low", f"{name}_high", f"{name}_mark"])
    return found.join(own)


def write(rows: pd.DataFrame, stem: Path, *, title: str, seeds: int, notes: Sequence[str]) -> Table:
    """Write the table of `frame` as <stem>.csv with every number, and as <stem>.md and .tex."""
    compared = [name.removesuffix("_low") for name in rows if name.endswith("_low")]
    full, shown = rows[_KEYS].copy(), rows[_KEYS].copy()
    for name in rows.columns.drop(_KEYS):
        if name.endswith("_mark"):
            full[name] = rows[name].fillna("")
            continue
        signed = name.removesuffix("_low").removesuffix("_high") in compared
        places = 3 if signed or name in ("cosine", "amplitude") else 2
        sign = "+" if signed else ""
        full[name] = [HOLE if pd.isna(value) else f"{value:{sign}.{places}f}" for value in rows[name]]
        if name in compared:
            ends = zip(full[name], rows[f"{name}_low"], rows[f"{name}_high"], rows[f"{name}_mark"], strict=True)
            shown[name.replace("- ", "− ")] = [_cell(*each) for each in ends]
        elif not signed:
            shown[name] = full[name]
    return tables.write_text(full, shown, stem, left=2, title=title, notes=[*_how_to_read(rows, seeds), *notes])


def _cell(value: str, low: float, high: float, mark: object) -> str:
    if value == HOLE:
        return HOLE
    interval = "" if pd.isna(low) else f" [{low:+.3f}, {high:+.3f}]"
    return f"{value}{interval}" + (f" {mark}" if isinstance(mark, str) and mark else "")


def _how_to_read(rows: pd.DataFrame, seeds: int) -> list[str]:
    notes = [
        "PSNR in dB, means over all benchmarks, which count alike, and cases; differences in dB with 95 % intervals"
        + (", and marks as in `differences_pooled`." if seeds > 1 else "; one seed, so no test of training.")
    ]
    if "cosine" in rows:
        notes.append(
            "Cosine: how right the detail is that is added to a bicubic upsampling (1: all that is missing, 0: "
            "unrelated). Amplitude: how much of it there is, as a share of what is missing. A difference to "
            f"`{BASELINE}` is the sum of its parts: direction, of the cosine, and amplitude."
        )
    if f"- {RESCALED}" in rows:
        notes.append(
            f"`{RESCALED}`: `{BASELINE}` with its detail times the one factor that suits its training's degradation "
            "(chosen on windows of training images). A gain over it is not had by turning detail up or down by one "
            "factor."
        )
    return notes
