"""report: tables, verdicts, figures and the page from the files of the other stages; never from MLflow.

blindsr report                      # of this project: reports/
blindsr report reports/reference    # of a folder with params.yaml, index, scores, curves, analysis and gallery
"""

from importlib import metadata
from pathlib import Path

from blindsr import files, paths, tracking
from blindsr.datasets import indices
from blindsr.datasets.indices import Index
from blindsr.params import BICUBIC, Params, cell_name
from blindsr.reporting import album, book, page, payload, tables
from blindsr.reporting.book import Book, Source
from blindsr.reporting.page import Page, PageFigure

_VERSIONS = ("torch", "numpy", "scipy", "pillow", "opencv-python-headless", "scikit-image", "scikit-learn", "dvc")


def run(params: Params, folder: Path = paths.REPORTS, index: Path = paths.INDEX, settings: str = "") -> None:
    """Write tables/, plots/, figures/, metrics.json and report.html into `folder`, where scores/ and the rest lie.

    `index` is the folder of the data sets' indices, `settings` the text of params.yaml.
    """
    trained = {cell_name(*cell): cell for cell in params.cells}
    scores = tables.read_scores(folder / "scores", {BICUBIC: (BICUBIC, BICUBIC, 0), **trained})
    known = {name: indices.read_index(name, index) for name in params.data.sets}
    suite = [name for name in params.data.benchmarks if not known[name].hr]
    source = Source(params, folder, trained, scores, suite, _holes(params, known))
    made = book.write(source)
    figures = album.draw(source)
    files.write_atomic(folder / "report.html", page.render(_page(source, made, figures, settings)))
    if folder == paths.REPORTS:
        publish(params)


def _page(source: Source, made: Book, figures: list[PageFigure], settings: str) -> Page:
    """The page shows every table that has a value; the files of the others are beside it."""
    return Page(
        title="blindsr report",
        size=source.size,
        faithful=source.faithful,
        verdicts=made.verdicts,
        tables=[table for table in made.tables if table.key not in made.empty],
        figures=figures,
        scores=payload.build(source.scores, source.rows, source.params.data.benchmarks, source.cases),
        gallery=album.gallery(source),
        settings=settings,
        versions={name: metadata.version(name) for name in ("blindsr", *_VERSIONS)},
    )


def _holes(params: Params, known: dict[str, Index]) -> dict[str, str]:
    """Every data set of the settings that is not here, and the reason."""
    holes = {name: index.missing for name, index in known.items() if index.missing}
    if params.data.lpips_trunk is None:
        holes["lpips"] = "set data.lpips_trunk and data.roots to have it"
    return holes


def run_key(params: Params) -> str:
    """Key of the MLflow run that has the report of this grid."""
    return f"report-{params.profile}-{_grid(params)}"


def publish(params: Params, store: str | None = None) -> None:
    """Tables, figures and page as artifacts of one MLflow run per grid; `store` as for `tracking.open_run`."""
    name, described = f"report-{params.profile}", {"grid": _grid(params)}
    with tracking.open_run(name, run_key(params), described, store=store) as run:
        for made in (paths.TABLES, paths.FIGURES, paths.GALLERY, paths.PAGE):
            run.artifacts(made)


def _grid(params: Params) -> str:
    return f"{'+'.join(params.backbone.names)}-{'+'.join(params.reg.names)}"
