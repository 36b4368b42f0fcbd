"""Tables from per-image scores: means over images, then over seeds; a data set that is missing is a visible hole."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from blindsr.config.run import Row
from blindsr.reporting import latex
from blindsr.reporting.scores import BASELINE
from blindsr.runtime import files

MEAN = "mean"
HOLE = "—"


class Table(NamedTuple):
    """A table as it was written: the stem of its files, and what the page shows of it."""

    key: str
    title: str
    header: list[str]
    rows: list[list[str]]
    left: int
    """So many of the first columns are text."""
    notes: list[str]


def table(
    scores: pd.DataFrame,
    metric: str,
    benchmarks: Sequence[str],
    rows: Sequence[Row],
    cases: Sequence[str],
) -> pd.DataFrame:
    """One metric as (benchmark, backbone, reg) x (cases and their mean), in the order given; NaN for holes."""
    seeds = scores.groupby(["benchmark", "backbone", "reg", "case", "seed"])[metric].mean()
    means = seeds.groupby(["benchmark", "backbone", "reg", "case"]).mean().unstack("case")
    index = pd.MultiIndex.from_tuples(
        [(benchmark, *row) for benchmark in benchmarks for row in rows], names=["benchmark", "backbone", "reg"]
    )
    ordered = means.reindex(index=index, columns=list(cases))
    return ordered.assign(**{MEAN: ordered.mean(axis=1, skipna=False)})


def improvement(values: pd.DataFrame) -> pd.DataFrame:
    """Difference of every regularizer to the same backbone without one (dB for PSNR); the baseline is left out."""
    baseline = values.xs(BASELINE, level="reg")
    others = values[[reg != BASELINE and (b, n) in baseline.index for b, n, reg in values.index]]
    return others - baseline.reindex(others.index.droplevel("reg")).to_numpy()


def real_table(
    scores: pd.DataFrame, metrics: Sequence[str], tracks: Sequence[str], rows: Sequence[Row]
) -> pd.DataFrame:
    """Sets of real LR images as (benchmark, backbone, reg) x metrics: means over images, then seeds; NaN: none."""
    known = scores.reindex(columns=["benchmark", "backbone", "reg", "seed", *metrics])
    seeds = known.groupby(["benchmark", "backbone", "reg", "seed"])[list(metrics)].mean()
    index = pd.MultiIndex.from_tuples(
        [(track, *row) for track in tracks for row in rows], names=["benchmark", "backbone", "reg"]
    )
    return seeds.groupby(["benchmark", "backbone", "reg"]).mean().reindex(index)


def write(
    values: pd.DataFrame,
    stem: Path,
    *,
    title: str,
    decimals: int | Mapping[str, int],
    signed: bool,
    notes: Sequence[str],
) -> Table:
    """Write <stem>.csv, <stem>.md and <stem>.tex: the same values give the same bytes.

    `decimals`: of all columns, or of each.
    """
    sign = "+" if signed else ""

    def text(column: pd.Series) -> pd.Series:
        places = decimals if isinstance(decimals, int) else decimals[str(column.name)]
        return column.map(lambda value: HOLE if pd.isna(value) else f"{value:{sign}.{places}f}")

    shown = values.apply(text).reset_index()
    return write_text(shown, shown, stem, left=values.index.nlevels, title=title, notes=notes)


def write_text(
    full: pd.DataFrame, shown: pd.DataFrame, stem: Path, *, left: int, title: str, notes: Sequence[str]
) -> Table:
    """Write formatted cells: `full` as <stem>.csv, `shown` as <stem>.md and <stem>.tex.

    The first `left` columns of `shown` are text. A newline in a cell separates lines within it.
    """
    files.write_atomic(stem.with_suffix(".csv"), full.replace(HOLE, "").to_csv(index=False, lineterminator="\n"))
    header = [str(column) for column in shown]
    rows = [[str(cell) for cell in row] for row in shown.itertuples(index=False)]
    aligned = ["left"] * left + ["right"] * (len(header) - left)
    body = shown.replace("\n", "<br>", regex=True).to_markdown(index=False, colalign=aligned, disable_numparse=True)
    footnotes = "".join(f"\n{note}\n" for note in notes)
    files.write_atomic(stem.with_suffix(".md"), f"# {title}\n\n{body}\n{footnotes}")
    tex = latex.table(header, rows, left=left, title=title, label=stem.name, notes=notes)
    files.write_atomic(stem.with_suffix(".tex"), tex)
    return Table(stem.name, title, header, rows, left, list(notes))


def write_metrics(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Write metrics.json: "<backbone>-<reg>" -> metric -> case -> mean over the benchmarks at hand (4 decimals)."""
    summary: dict[str, dict[str, Any]] = {}
    for metric, values in tables.items():
        means = values.groupby(level=["backbone", "reg"]).mean()
        for (backbone, reg), row in means.iterrows():
            scores = {case: round(float(value), 4) for case, value in row.items() if not pd.isna(value)}
            if scores:
                summary.setdefault(Row(backbone, reg).name, {})[metric] = scores
    files.write_atomic(path, json.dumps(summary, indent=1, sort_keys=True) + "\n")
