"""The tables of a leaderboard as text, for a terminal, Markdown and the page."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from blindsr.apps.leaderboard.board import ALL, Board, Standing
from blindsr.plugins.metrics.base import Metric

HOLE = "—"
_SHORT = {
    "psnr_best_db": "PSNR at best\namplitude",
    "detail_cosine": "detail\ncosine",
    "detail_amplitude": "detail\namplitude",
}


class Sheet(NamedTuple):
    """A table whose first column names the models; a newline in a cell separates lines within it."""

    key: str
    title: str
    header: list[str]
    rows: list[list[str]]
    best: set[tuple[int, int]]
    """(row, column) of cells that no other of their column is better than, as they are shown."""
    note: str = ""


def ranks(board: Board, shown: Sequence[Metric], by: Metric) -> Sheet:
    """One row per model: ranks, means over sets and cases, worst cases and cost.

    Args:
        board: The scores of one scale.
        shown: Metrics.
        by: What models are ranked by.

    Returns:
        The table.
    """
    overall, columns = board.standings[ALL], _Columns()
    columns.add("model", [one.candidate.entry.title for one in overall])
    columns.add("rank", [span(one) for one in overall])
    columns.add(_title(by), [number(one.means[by.name], by.decimals) for one in overall], by)
    for name in board.images if len(board.images) > 1 else ():
        placed = {one.candidate.entry.title: one.means[by.name] for one in board.standings[name]}
        own = [number(placed[one.candidate.entry.title], by.decimals) for one in overall]
        columns.add(f"{by.label}\n{name}", own, by)
    for metric in (metric for metric in shown if metric.name != by.name):
        columns.add(_title(metric), [number(one.means[metric.name], metric.decimals) for one in overall], metric)
    worst = [f"{one.worst}\n{number(one.cases[by.name][one.worst], by.decimals)}" for one in overall]
    columns.add("worst case", worst)
    if any(one.least for one in overall):
        least = [f"{one.least}\n{number(one.gain, by.decimals, '+')}" if one.least else HOLE for one in overall]
        columns.add("least gain\nover bicubic", least)
    columns.add("parameters\n(M)", [_in(1e6, one.candidate.parameters) for one in overall])
    columns.add("GFLOP of\n64×64 LR", [_in(1e9, one.candidate.flops) for one in overall])
    if any(one.candidate.seconds is not None for one in overall):
        seconds = [math.nan if one.candidate.seconds is None else one.candidate.seconds for one in overall]
        columns.add("seconds per\nmegapixel", [number(each, 3) for each in seconds])
    note = "Means over the cases, and over the sets, each of which counts alike."
    return columns.sheet("ranks", f"Ranks by {by.label}, ×{board.scale}", note)


def of_cases(board: Board, metric: Metric) -> Sheet:
    """One row per model, with a column per case: means over the sets.

    Args:
        board: The scores of one scale.
        metric: Of the table.

    Returns:
        The table, with the mean over the cases at its end.
    """
    overall, columns = board.standings[ALL], _Columns()
    columns.add("model", [one.candidate.entry.title for one in overall])
    for case in overall[0].cases[metric.name]:
        columns.add(case, [number(one.cases[metric.name][case], metric.decimals) for one in overall], metric)
    columns.add("mean", [number(one.means[metric.name], metric.decimals) for one in overall], metric)
    arrow = {True: ", more is better", False: ", less is better", None: ""}[metric.higher_is_better]
    return columns.sheet(metric.name, f"{metric.title} per case{arrow}")


def pairs(board: Board, by: Metric) -> Sheet:
    """Row minus column for every pair of models, with the interval; ▲ and ▼ where it is certain.

    Args:
        board: The scores of one scale.
        by: What models are ranked by.

    Returns:
        The table.
    """
    names, made = [one.candidate.entry.title for one in board.standings[ALL]], board.ranking
    rows = []
    for one, name in enumerate(names):
        cells = [name]
        for other in range(len(names)):
            if one == other:
                cells.append("")
                continue
            sign = {1: "▲ ", -1: "▼ ", 0: ""}[int(made.above[one, other])]
            ends = ", ".join(number(side[one, other], by.decimals, "+") for side in (made.low, made.high))
            cells.append(f"{sign}{number(made.difference[one, other], by.decimals, '+')}\n[{ends}]")
        rows.append(cells)
    note = (
        "Row minus column, with the 95 % interval over images, paired image by image; each set counts alike, and "
        "each pair is judged by itself. ▲ the row is above, ▼ below: the interval excludes 0. Without a mark it is "
        "open. A model's rank is a span where some pair is open."
    )
    return Sheet("pairs", f"Who is above whom: differences in {by.title}", ["model", *names], rows, set(), note)


def problems(board: Board) -> list[str]:
    """What a reader must know of models and images that are left out, a sentence each."""
    lines = [
        f"{candidate.entry.title} has no rank: {done} of its {wanted} scores could be made."
        for candidate, done, wanted in board.incomplete
    ]
    if board.exact:
        lines.append(f"Left out, since a model restores them exactly (infinite PSNR): {', '.join(board.exact)}.")
    if board.broken:
        lines.append(f"Left out, since no model could be scored on them: {', '.join(board.broken)}.")
    return lines


def span(standing: Standing) -> str:
    """A rank, or the ranks that a model may have."""
    return f"{standing.first}" if standing.first == standing.last else f"{standing.first}–{standing.last}"


def number(value: float, decimals: int, sign: str = "") -> str:
    """A number as it is shown; a hole for NaN."""
    if math.isnan(value):
        return HOLE
    return f"{value:{sign}.{decimals}f}".replace("-", "−")


def _in(unit: float, count: int | None) -> str:
    """Three digits, as far as whole units allow; a hole where it is not known."""
    if not count:
        return HOLE if count is None else "0"
    return f"{count / unit:.3g}" if count < 1000 * unit else f"{count / unit:.0f}"


def _title(metric: Metric) -> str:
    return _SHORT.get(metric.name) or (f"{metric.label}\n({metric.unit})" if metric.unit else metric.label)


class _Columns:
    """A table that grows to the right."""

    def __init__(self) -> None:
        self._header: list[str] = []
        self._columns: list[list[str]] = []
        self._best: set[tuple[int, int]] = set()

    def add(self, header: str, cells: list[str], metric: Metric | None = None) -> None:
        """With a metric, the best cell is marked."""
        if metric is not None and metric.higher_is_better is not None and len(cells) > 1:
            values = {row: float(cell.replace("−", "-")) for row, cell in enumerate(cells) if cell != HOLE}
            top = (max if metric.higher_is_better else min)(values.values(), default=math.nan)
            self._best |= {(row, len(self._header)) for row, value in values.items() if value == top}
        self._header.append(header)
        self._columns.append(cells)

    def sheet(self, key: str, title: str, note: str = "") -> Sheet:
        """The table as it is."""
        rows = [list(row) for row in zip(*self._columns, strict=True)]
        return Sheet(key, title, self._header, rows, self._best, note)
