"""report: tables, verdicts, figures and the page from the files of the other stages; never from MLflow.

blindsr report                      # of this project: reports/
blindsr report reports/reference    # of a folder with params.yaml, index, scores, curves, analysis and gallery
"""

import re
from pathlib import Path
from typing import Any

import blindsr
from blindsr.config.params import Params
from blindsr.data import indices
from blindsr.data.indices import Index
from blindsr.reporting import report_tables, scores
from blindsr.reporting.page import all_figures, pictures, rendering, score_data
from blindsr.reporting.page.rendering import Page, PageFigure
from blindsr.reporting.report_tables import ReportTables
from blindsr.reporting.source import Source
from blindsr.reporting.tables import Table
from blindsr.runtime import files, packages, paths, recorded, temporary, tracking

_VERSIONS = ("torch", "numpy", "scipy", "pillow", "opencv-python-headless", "scikit-image", "scikit-learn", "dvc")


def run(params: Params, folder: Path = paths.REPORTS, index: Path = paths.INDEX) -> None:
    """Write tables/, plots/, figures/, metrics.json, summary.json and report.html into a folder.

    Args:
        params: Settings that its results are of.
        folder: Where scores/ and the rest lie. Of reports/ itself, the results are published, too (see `publish`).
        index: Folder of the data sets' indices.
    """
    temporary.sweep(folder)
    scored = scores.read(folder / "scores", params.scored, params.evaluate.metrics)
    known = {name: indices.read_index(name, index) for name in params.data.sets}
    suite = [name for name in params.data.benchmarks if not known[name].is_real]
    aligned = [name for name, index in known.items() if index.pairing and index.aligned]
    source = Source(params, folder, scored, suite, _holes(params, known), aligned)
    made = report_tables.write(source)
    gallery = all_figures.gallery(source)
    figures = all_figures.draw(source, gallery)
    files.write_atomic(folder / "report.html", rendering.render(_page(source, made, figures, gallery)))
    if folder == paths.REPORTS:
        summary = paths.REPORTS / "summary.json"
        recorded.note(paths.TABLES, paths.FIGURES, paths.PAGE, paths.PLOTS, paths.METRICS, summary)
        publish(params)


def _page(source: Source, made: ReportTables, figures: list[PageFigure], gallery: list[dict[str, Any]]) -> Page:
    """The page shows every table that has a value; the files of the others are beside it."""
    return Page(
        title="blindsr report",
        size=source.size,
        faithful=source.faithful,
        verdicts=made.verdicts,
        tables=[_on_page(source, table) for table in made.tables if table.key not in made.empty],
        figures=figures,
        scores=score_data.build(source.scores, source.metrics, source.rows, source.suite, source.cases),
        gallery=gallery,
        settings=source.params.as_text(),
        versions={"blindsr": blindsr.__version__} | packages.versions(_VERSIONS),
        beside_paper=source.beside_paper,
        pictures=pictures.inside(source.folder, gallery, list(dict.fromkeys([*source.ends[::-1], *source.cases]))),
    )


def _on_page(source: Source, table: Table) -> Table:
    """A table without what the head of the page says once, and with metrics by the names that people call them."""
    title = table.title.removesuffix(f" ({source.size})")
    for name, metric in source.metrics.items():
        title = re.sub(rf"\b{re.escape(name)}\b", metric.title, title)
    return table._replace(title=title, notes=[note.replace(f" {source.kind}", "") for note in table.notes])


def _holes(params: Params, known: dict[str, Index]) -> dict[str, str]:
    """Every data set of the settings that is not here, and the reason."""
    holes = {name: index.missing for name, index in known.items() if index.missing}
    if params.data.lpips_trunk is None:
        holes["lpips"] = "set data.lpips_trunk and data.roots to have it"
    return holes


def publish(params: Params, store: str | None = None) -> None:
    """Store tables, figures and page as artifacts of one MLflow run per grid.

    Args:
        params: Settings of the project.
        store: As for `tracking.open_run`.

    Raises:
        UserError: for whatever fails of a `store`.
    """
    grid = {"backbones": ", ".join(params.backbone.names), "regularizers": ", ".join(params.reg.names)}
    grid |= {"seeds": ", ".join(map(str, params.seeds)), "profile": params.profile}
    # a report of other settings is another run; where the work is done is none of them
    here = {"roots", "mirror", "offline"} | (set() if params.data.train_on_benchmarks else {"train_on_benchmarks"})
    settings = params.model_dump(mode="json", exclude={"runtime": True, "data": here})
    name = f"report-{params.profile}"
    with tracking.open_run(name, f"{name}-{files.key(settings)[:16]}", grid, store=store) as run:
        for made in (paths.TABLES, paths.FIGURES, paths.GALLERY, paths.PAGE):
            run.artifacts(made)
