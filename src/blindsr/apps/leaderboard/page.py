"""A leaderboard as one HTML page, which needs no other file and no network."""

from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from blindsr.apps.leaderboard import sheets
from blindsr.apps.leaderboard.board import ALL, Board
from blindsr.apps.leaderboard.origin import Origin
from blindsr.apps.leaderboard.sheets import Sheet
from blindsr.config.run import BICUBIC
from blindsr.plugins.metrics.base import Metric


class Bar(NamedTuple):
    """A model's difference to the model of reference, drawn; places are in percent of the width."""

    name: str
    text: str
    sign: int
    """1 where it is certainly above, -1 below, 0 where it is open."""
    low: float
    width: float
    at: float


class Chart(NamedTuple):
    """Differences of all models to one."""

    reference: str
    bars: list[Bar]
    zero: float
    """Place of no difference, in percent."""


class Section(NamedTuple):
    """One board on the page."""

    board: Board
    ranks: Sheet
    pairs: Sheet
    cases: list[Sheet]
    chart: Chart
    problems: list[str]
    links: dict[str, str]


def render(boards: Sequence[Board], shown: Sequence[Metric], by: Metric, origin: Origin, title: str) -> str:
    """Make the page; the same boards give the same text.

    Args:
        boards: One per scale.
        shown: Metrics.
        by: What models are ranked by.
        origin: What the numbers rest on.
        title: Of the page.

    Returns:
        HTML.
    """
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    template = (resources.files("blindsr.apps.leaderboard") / "leaderboard.html.j2").read_text("utf-8")
    style = (resources.files("blindsr.reporting.page") / "page.css").read_text("utf-8")
    digests = {one.candidate.entry.title: one.candidate.digest for board in boards for one in board.standings[ALL]}
    return environment.from_string(template).render(
        title=title,
        sections=[_section(board, shown, by) for board in boards],
        by=by,
        origin=origin,
        lines=origin_lines(origin),
        digests=digests,
        style=Markup(style),
    )


def origin_lines(origin: Origin) -> list[str]:
    """What the numbers rest on, a sentence each, without the tables of hashes."""
    names = ", ".join(origin.cases)
    cases = [f"{name}: {words}" for name, words in origin.cases.items()]
    suite = [f"Sealed suite, {names}: {origin.sealed}.", "Whoever gave the seed can show that it has this hash."]
    return [
        *(suite if origin.sealed else [f"Cases: {'; '.join(cases)}."]),
        f"SHA-256 of the suite (strengths and seed): {origin.suite}",
        f"SHA-256 of the weights of LPIPS: {origin.trunk or 'none were given, so there is no LPIPS'}",
        f"Versions: {', '.join(f'{name} {version}' for name, version in origin.versions.items())}",
    ]


def _section(board: Board, shown: Sequence[Metric], by: Metric) -> Section:
    return Section(
        board,
        sheets.ranks(board, shown, by),
        sheets.pairs(board, by),
        [sheets.of_cases(board, metric) for metric in shown],
        _chart(board, by),
        sheets.problems(board),
        {one.candidate.entry.title: one.candidate.entry.link for one in board.standings[ALL]},
    )


def _chart(board: Board, by: Metric) -> Chart:
    """Every model minus bicubic, or minus the first where bicubic is not there."""
    models, made = [one.candidate.entry for one in board.standings[ALL]], board.ranking
    base = next((number for number, entry in enumerate(models) if entry.model == BICUBIC), 0)
    middle = made.difference[:, base]
    ends = [[side[number, base] for side in (made.low, made.high)] for number in range(len(models))]
    known = [value for value in [*middle, *(end for pair in ends for end in pair), 0.0] if value == value]
    left, right = min(known), max(known)
    room = (right - left) or 1.0

    def place(value: float) -> float:
        return round(4 + 92 * (float(value) - left) / room, 2)

    bars = []
    for number, entry in enumerate(models):
        low, high = (end if end == end else middle[number] for end in ends[number])
        shown = sheets.number(middle[number], by.decimals, "+")
        text = (
            ""
            if number == base
            else f"{shown} [{', '.join(sheets.number(e, by.decimals, '+') for e in ends[number])}]"
        )
        width = round(place(high) - place(low), 2)
        bars.append(Bar(entry.title, text, int(made.above[number, base]), place(low), width, place(middle[number])))
    return Chart(models[base].title, bars, place(0.0))
