"""A table of ours beside the paper's: cells with intervals and marks, and how they are written."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from blindsr.reporting import statistics, tables
from blindsr.reporting.differences import ALPHA
from blindsr.reporting.tables import HOLE, Table

BETTER, WORSE, SUSPECT = "▲", "▼", "†"


class TableCell(NamedTuple):
    """A value with its 95 % interval, and what the paper prints there; NaN for what is not known.

    `p` is the uncorrected p-value of a difference to the baseline and `gain` the interval of that difference.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    paper: float = math.nan
    suspect: bool = False
    p: float = math.nan
    gain: tuple[float, float] | None = None


class Line(NamedTuple):
    """One row: its benchmark (or ""), its network, which of its rows this is, and a cell per column."""

    section: str
    network: str
    label: str
    cells: list[TableCell]
    signed: bool = False


class PaperTable(NamedTuple):
    """A table of the paper; `header` names the columns in front of the cells' `columns`."""

    key: str
    title: str
    header: list[str]
    columns: list[str]
    lines: list[Line]
    decimals: int
    lower_is_better: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no cell has a value of ours."""
        return all(math.isnan(cell.value) for line in self.lines for cell in line.cells)


def marks(table: PaperTable) -> list[list[str]]:
    """▲ or ▼ for each cell that is better or worse than the baseline; the table is one family for Holm.

    Either takes p < 0.05 after the correction, and 0 outside the interval of the difference.
    """
    corrected = statistics.holm([[cell.p for cell in line.cells] for line in table.lines])
    found = []
    for line, row in zip(table.lines, corrected, strict=True):
        found.append([_mark(cell, p, table.lower_is_better) for cell, p in zip(line.cells, row, strict=True)])
    return found


def _mark(cell: TableCell, p: float, lower_is_better: bool) -> str:
    sign = int(statistics.significant_sign(p, *cell.gain, ALPHA)) if cell.gain else 0
    return {0: "", 1: BETTER, -1: WORSE}[-sign if lower_is_better else sign]


def write(table: PaperTable, stem: Path, notes: Sequence[str]) -> Table:
    """Write <stem>.csv (one row a cell, every number), <stem>.md and <stem>.tex (the table as printed)."""
    flags = marks(table)
    front = len(table.header)
    shown = [
        _front(line, front)
        + [_text(*pair, line.signed, table.decimals) for pair in zip(line.cells, row, strict=True)]
        for line, row in zip(table.lines, flags, strict=True)
    ]
    full = [
        {"benchmark": line.section, "network": line.network, "row": line.label, "column": column}
        | _numbers(cell, mark, table.decimals)
        for line, row in zip(table.lines, flags, strict=True)
        for column, cell, mark in zip(table.columns, line.cells, row, strict=True)
    ]
    header = [*(name or " " for name in table.header), *table.columns]
    return tables.write_text(
        pd.DataFrame(full), pd.DataFrame(shown, columns=header), stem,
        left=front, title=table.title, notes=[*_how_to_read(table, flags), *notes],
    )  # fmt: skip


def _front(line: Line, count: int) -> list[str]:
    return [line.section, line.network, line.label][3 - count :] if count > 1 else [line.network]


def _text(cell: TableCell, mark: str, signed: bool, decimals: int) -> str:
    """Up to three lines: value and mark; interval; the paper's value and ours minus it."""
    sign = "+" if signed else ""
    known, printed = not math.isnan(cell.value), not math.isnan(cell.paper)
    parts = [f"{cell.value:{sign}.{decimals}f}{mark}" if known else HOLE]
    if known and not math.isnan(cell.low):
        parts.append(f"[{cell.low:{sign}.{decimals}f}, {cell.high:{sign}.{decimals}f}]")
    if printed:
        theirs = f"{cell.paper:{sign}.{decimals}f}{SUSPECT if cell.suspect else ''}"
        parts.append(f"paper {theirs}" + (f" ({cell.value - cell.paper:+.{decimals}f})" if known else ""))
    return "\n".join(parts)


def _numbers(cell: TableCell, mark: str, decimals: int) -> dict[str, Any]:
    places = decimals + 1
    numbers = {
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "paper": cell.paper,
        "minus_paper": cell.value - cell.paper,
    }
    text = {name: HOLE if math.isnan(number) else f"{number:.{places}f}" for name, number in numbers.items()}
    name = {BETTER: "better", WORSE: "worse", "": ""}[mark]
    return text | {"suspect": "misprint?" if cell.suspect else "", "mark": name}


def _how_to_read(table: PaperTable, flags: list[list[str]]) -> list[str]:
    cells = [cell for line in table.lines for cell in line.cells]
    family = sum(not math.isnan(cell.p) for cell in cells)
    notes = []
    if not table.is_empty:
        notes.append(
            "Each cell: our mean over images and seeds; its 95 % bootstrap interval; the paper's value, and "
            "ours minus it in brackets."
        )
    if family:
        notes.append(
            f"{BETTER} better, {WORSE} worse than the baseline: t test over seeds and images below {ALPHA:g} after "
            f"Holm's correction for the {family} comparisons of this table."
        )
    if any(cell.suspect for cell in cells):
        notes.append(f"{SUSPECT} looks like a misprint in the paper; its own means include it.")
    return notes
