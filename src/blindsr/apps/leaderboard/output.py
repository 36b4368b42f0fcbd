"""A leaderboard as leaderboard.csv, leaderboard.md and index.html, and on the terminal: the same numbers."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from blindsr.apps.leaderboard import page, sheets
from blindsr.apps.leaderboard.board import ALL, Board, Standing
from blindsr.apps.leaderboard.origin import Origin
from blindsr.apps.leaderboard.sheets import Sheet
from blindsr.plugins.metrics.base import Metric
from blindsr.runtime import escaping, files, outputs

_CSV, _TEXT, _PAGE = "leaderboard.csv", "leaderboard.md", "index.html"
_NAME = 24  # characters of a model's name, beyond which it is folded
_NAMES: dict[str, Any] = {"overflow": "fold", "max_width": _NAME}
_NUMBERS: dict[str, Any] = {"justify": "right", "no_wrap": True}


def places(folder: Path) -> list[Path]:
    """The files that `write` makes; a link means what it points to."""
    return [outputs.pointed_to(folder / name) for name in (_CSV, _TEXT, _PAGE)]


def write(
    boards: Sequence[Board], shown: Sequence[Metric], by: Metric, origin: Origin, title: str, folder: Path
) -> None:
    """Write all three files; the same boards give the same bytes.

    Args:
        boards: One per scale.
        shown: Metrics.
        by: What models are ranked by.
        origin: What they rest on.
        title: Of text and page.
        folder: Made where it is missing.

    Raises:
        UserError: where a file cannot be written.
    """
    table, text, whole = places(folder)
    rows = [row for board in boards for row in _rows(board, shown, by)]
    header = list(dict.fromkeys(name for row in rows for name in row))
    files.write_csv(table, header, [[row.get(name, "") for name in header] for row in rows])
    files.write_atomic(text, _markdown(boards, shown, by, origin, title))
    files.write_atomic(whole, page.render(boards, shown, by, origin, title))


def show(boards: Sequence[Board], shown: Sequence[Metric], by: Metric) -> None:
    """Print the ranks.

    Args:
        boards: One per scale.
        shown: Metrics.
        by: What models are ranked by.
    """
    console = Console()
    for board in boards:
        sheet = sheets.ranks(board, shown, by)
        table = Table()
        fits = _fitting(sheet, console.width)
        for number in range(fits):
            table.add_column(Text(sheet.header[number]), **(_NUMBERS if number else _NAMES))
        for cells in sheet.rows:
            table.add_row(*(Text("\n".join(map(escaping.terminal, cell.split("\n")))) for cell in cells[:fits]))
        images = ", ".join(f"{name} ({count})" for name, count in board.images.items())
        console.print(escaping.terminal(f"{sheet.title}, on {images}"), soft_wrap=True, markup=False, highlight=False)
        console.print(table)
        console.print(
            f"A rank is a span where a difference in {by.label} is not certain: its 95 % interval holds 0.",
            soft_wrap=True, markup=False, highlight=False,
        )  # fmt: skip
        for line in sheets.problems(board):
            console.print(escaping.terminal(line), soft_wrap=True, markup=False, highlight=False)


def _fitting(sheet: Sheet, width: int) -> int:
    """How many of the columns a terminal has room for, at least those of names and ranks."""
    used, count = 1, 0
    for cells in zip(sheet.header, *sheet.rows, strict=True):
        longest = max(len(line) for cell in cells for line in cell.split("\n"))
        used += 3 + (longest if count else min(longest, _NAME))
        count += used <= width or count < 2
    return count


def _rows(board: Board, shown: Sequence[Metric], by: Metric) -> Iterator[dict[str, Any]]:
    for name, standings in board.standings.items():
        images = sum(board.images.values()) if name == ALL else board.images[name]
        for one in standings:
            yield {"scale": board.scale, "set": name, "images": images, **_row(one, shown, by)}


def _row(one: Standing, shown: Sequence[Metric], by: Metric) -> dict[str, Any]:
    candidate = one.candidate
    row: dict[str, Any] = {
        "model": candidate.entry.title,
        "rank_first": one.first,
        "rank_last": one.last,
        **{metric.name: _cell(one.means[metric.name]) for metric in shown},
        "worst_case": one.worst,
        f"worst_{by.name}": _cell(one.cases[by.name][one.worst]),
        "least_gain_case": one.least,
        f"least_gain_{by.name}": _cell(one.gain),
        "parameters": "" if candidate.parameters is None else candidate.parameters,
        "flops_64x64": "" if candidate.flops is None else candidate.flops,
    }
    if candidate.seconds is not None:
        row["seconds_per_megapixel"] = _cell(candidate.seconds)
    row |= {
        f"{metric.name}/{case}": _cell(value) for metric in shown for case, value in one.cases[metric.name].items()
    }
    return row | {"link": candidate.entry.link, "sha256": candidate.digest}


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _markdown(boards: Sequence[Board], shown: Sequence[Metric], by: Metric, origin: Origin, title: str) -> str:
    parts = [f"# {_escaped(title)}"]
    for board in boards:
        links = {one.candidate.entry.title: one.candidate.entry.link for one in board.standings[ALL]}
        head, *tables = [sheets.ranks(board, shown, by), *(sheets.of_cases(board, metric) for metric in shown)]
        parts += _section(head, links) + [f"- {_escaped(line)}" for line in sheets.problems(board)]
        for sheet in [sheets.pairs(board, by), *tables]:
            parts += _section(sheet, {})
    return "\n\n".join([*parts, *_origin(boards, origin)]) + "\n"


def _section(sheet: Sheet, links: dict[str, str]) -> list[str]:
    lines = [_line(map(_escaped, sheet.header)), _line([":--", *["--:"] * (len(sheet.header) - 1)])]
    for row, cells in enumerate(sheet.rows):
        texts = [
            f"**{text}**" if (row, column) in sheet.best else _escaped(text) for column, text in enumerate(cells)
        ]
        if links.get(cells[0]):
            texts[0] = f"[{texts[0]}](<{links[cells[0]]}>)"
        lines.append(_line(texts))
    return [f"## {_escaped(sheet.title)}", *([sheet.note] if sheet.note else []), "\n".join(lines)]


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """No character of a title or name is markup; lines within a cell stay."""
    return "<br>".join(map(escaping.markdown, text.split("\n")))


def _origin(boards: Sequence[Board], origin: Origin) -> list[str]:
    sets = [
        _line(["set", "scale", "images", "SHA-256 of the HR pixels", "SHA-256 of the LR pixels, all cases"]),
        _line([":--", "--:", "--:", ":--", ":--"]),
        *(_line([_escaped(each.name), f"×{each.scale}", str(each.images), each.hr, each.lr]) for each in origin.sets),
    ]
    digests = {one.candidate.entry.title: one.candidate.digest for board in boards for one in board.standings[ALL]}
    weights = [
        _line(["model", "SHA-256 of its file"]),
        _line([":--", ":--"]),
        *(_line([_escaped(name), digest or "none"]) for name, digest in digests.items()),
    ]
    return [
        "## What it was made of",
        "\n".join(f"- {line}" for line in page.origin_lines(origin)),
        "\n".join(sets),
        "\n".join(weights),
    ]
