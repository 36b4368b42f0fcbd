"""The report as one HTML page: everything but some pictures of the gallery is inside it, and nothing is fetched."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup, escape

from blindsr.reporting.page import inline_figures
from blindsr.reporting.tables import Table
from blindsr.reporting.verdicts import Verdict

MARKS = {"supported": "✓", "contradicted": "✕", "undecided": "≈", "not testable": "–"}
"""Verdict -> the sign beside its word."""
SCRIPTS = ("page.js", "page_explorer.js", "page_zoom.js", "page_compare.js", "page_scatter.js", "page_start.js")
"""Parts of the page's one script, in order; they share a scope and leave nothing in the global one."""
_FOLDER = Path(__file__).parent


class PageFigure(NamedTuple):
    """A figure, inlined; figures/<key>.svg lies beside the page."""

    key: str
    title: str
    caption: str
    svg: str


class Page(NamedTuple):
    """What the report says."""

    title: str
    size: str
    """What was run: profile, iterations, seeds."""
    faithful: bool
    """Whether the run is the paper's experiment; if not, a banner says so."""
    verdicts: list[Verdict]
    tables: list[Table]
    figures: list[PageFigure]
    scores: dict[str, Any]
    """metrics, cases, benchmarks, models, values (metric -> model -> benchmark -> case -> one number per image, None
    where there is none), baseline and method (regularizers)."""
    gallery: list[dict[str, Any]]
    """One entry per image: benchmark, image, rule, gain_db, window (top, left, height, width in HR pixels), and paths
    of crops relative to the page: hr, and in cases -> case lr, and in models -> model picture and psnr_db."""
    settings: str
    versions: dict[str, str]
    beside_paper: bool = True
    """Whether the paper's numbers stand beside these: it has none for another scale than its own."""
    pictures: Mapping[str, str] = {}
    """Those of the gallery's pictures that are inside the page: path -> WebP in base64."""


def render(page: Page) -> str:
    """The page as HTML text; the same page gives the same text.

    Raises ValueError for an unknown verdict, and for an infinite score or NaN.
    """
    for verdict in page.verdicts:
        if verdict.verdict not in MARKS:
            raise ValueError(f"a verdict is one of {', '.join(MARKS)}, not {verdict.verdict!r}")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["code"] = _code
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    return environment.from_string(_read("page.html.j2")).render(
        page=page,
        marks=MARKS,
        counts={word: sum(verdict.verdict == word for verdict in page.verdicts) for word in MARKS},
        figures=[_figure(figure, page.size) for figure in page.figures],
        scores=page.scores,
        inside=len(page.pictures),
        pictured_in_all=len(set(paths_of(page.gallery))),
        style=Markup(_read("page.css")),
        script=Markup("".join(_read(name) for name in SCRIPTS)),
    )


def _figure(figure: PageFigure, size: str) -> tuple[PageFigure, str, tuple[int, int] | None]:
    svg = inline_figures.without_title(figure.svg, figure.title, size)
    return figure, inline_figures.data_uri(svg), inline_figures.size(svg)


def paths_of(gallery: Sequence[Mapping[str, Any]], cases: Sequence[str] | None = None) -> list[str]:
    """Paths of the gallery's pictures: of each image the HR one, then LR and the networks' under each case.

    Args:
        gallery: As in `Page`.
        cases: Those whose pictures are meant; None: all.
    """
    found = []
    for entry in gallery:
        found.append(entry["hr"])
        for case, shown in entry["cases"].items():
            if cases is None or case in cases:
                found += [shown["lr"], *(made["picture"] for made in shown["models"].values())]
    return found


def _code(text: str) -> Markup:
    """What stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _read(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")
