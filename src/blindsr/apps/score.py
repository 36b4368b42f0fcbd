"""score: the test suite as a benchmark for anyone's network on anyone's HR images."""

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from blindsr.acquisition import folder
from blindsr.acquisition.folder import HrFolder
from blindsr.apps import models, score_report
from blindsr.config import params, registry
from blindsr.config.params import Params
from blindsr.config.schema import EvaluateParams, SuiteParams
from blindsr.data import images, indices, suite
from blindsr.evaluation import benchmarks, scoring
from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import Job, Key, Loaded, Measure, Score
from blindsr.model import inference
from blindsr.model.inference import Tile
from blindsr.runtime import devices, files, provenance
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

_OVERLAP = 32


def run(
    hr_folder: Path,
    model: str,
    *,
    cases: Sequence[str] = (),
    metrics: Sequence[str] = (),
    scale: int | None = None,
    tile: Tile = "auto",
    device: str = "auto",
    lpips_trunk: Path | None = None,
    csv: Path | None = None,
    as_json: Path | None = None,
) -> None:
    """Degrade every image of `hr_folder` under every case, upscale it with `model`, score it and print a table.

    `model` and `scale` are as for `models.read`. Cases and metrics that are not named are those of the project in the
    working directory, else the paper's; noise is seeded by the suite's seed and the names of folder, case and image.
    `csv` gets a row per image and case, with a column per metric, and lets an interrupted run go on; `as_json` gets
    means and rows.

    Raises UserError for wrong arguments, and one that counts the images without scores, after all others are written.
    """
    project = params.find()
    chosen = suite.select(project.suite if project else suite.PAPER, cases)
    other = EvaluateParams(crop_border=models.default_scale(None), overlap=_OVERLAP, threads=1)
    settings = project.evaluate if project else other
    columns = list(dict.fromkeys(metrics)) or settings.metrics
    for name in columns:
        registry.require("metric", name)
    source = folder.open_folder(hr_folder)
    where = devices.choose(device)
    devices.keep_freed_memory()
    network, scale, weights = models.read(model, scale)
    network = devices.place(network, where)
    trunk, no_trunk = _trunk(lpips_trunk, project)
    border = settings.crop_border if project and project.scale == scale else scale
    records = scoring.build_metrics(
        columns,
        crop_border=border,
        max_shift=settings.max_shift,
        trunk=trunk,
        no_trunk=no_trunk,
        device=devices.beside(where),
    )
    upscale = partial(inference.upscale_rgb, network, scale=scale, tile=tile, overlap=_OVERLAP)

    determining = {
        "files": [_content(path) for path in (weights or Path(), trunk or Path())],
        "settings": [scale, tile, border, sorted(columns), where.type, chosen.seed],
        "code": provenance.code_digest("score"),
    }
    contents = {name: _content(path) for name, path in source.files.items()}
    stamps = {
        Key(source.name, case, name): files.key([determining, degraded.model_dump(), contents[name]])[:16]
        for case, degraded in chosen.cases.items()
        for name in source.files
    }
    journal = Journal(csv.parent / f".{csv.name}.rows") if csv else None
    rows, lines = _score(source, chosen, scale, stamps, upscale, Measure(records), journal)
    scores = [rows[key] for key in stamps if key in rows]
    if scores:
        name = f"{Path(model).name} ×{scale} on {source.name}"
        score_report.print_table(name, scores, records, list(chosen.cases))
        if csv:
            benchmarks.write_csv(scores, columns, csv)
        if as_json:
            about = {"model": Path(model).name, "benchmark": source.name, "scale": scale}
            files.write_atomic(as_json, score_report.as_json(about, scores, columns, lines))
    if lines:
        missing = len(stamps) - len(scores)
        raise UserError(f"{missing} of {len(stamps)} scores are missing: {len(lines)} problems are named above")
    if journal:
        journal.clear()


def _trunk(given: Path | None, project: Params | None) -> tuple[Path | None, str]:
    """LPIPS' trunk: the file given, or the project's, if it was fetched; else None, and what to do."""
    if project and not given:
        with contextlib.suppress(UserError):  # nothing was fetched
            given, _ = indices.trunk_file(project.data.lpips_trunk, project.data.roots)
    return given, "give AlexNet's with --lpips-trunk"


def _score(
    source: HrFolder,
    chosen: SuiteParams,
    scale: int,
    stamps: dict[Key, str],
    upscale: Any,
    measure: Measure,
    journal: Journal | None,
) -> tuple[dict[Key, Score], list[str]]:
    """The scores of all images, and a line for each problem."""
    done = journal.read() if journal else {}
    rows = {key: done[key, stamp] for key, stamp in stamps.items() if (key, stamp) in done}
    jobs = []
    for name, path in source.files.items():
        keys = [key for key in stamps if key.image == name and key not in rows]
        if keys:
            cases = chosen.model_copy(update={"cases": {key.case: chosen.cases[key.case] for key in keys}})
            jobs.append(Job(keys, partial(_load, path, keys, cases, scale)))
    lines = []
    with Bar("score", len(stamps), start=len(rows)) as bar:
        for path in source.files.values():
            if folder.is_grey(path):
                bar.say(f"note: {path} is greyscale: scored as RGB with three equal channels")
        for result in scoring.score(jobs, upscale, measure):
            rows |= {score.key: score for score in result.scores}
            if journal:
                journal.append((stamps[score.key], score) for score in result.scores)
            for error in result.errors:
                lines.append(str(error))
                bar.say(f"error: {error}")
            bar.advance(len(result.job.keys))
    return rows, lines


def _load(path: Path, keys: Sequence[Key], cases: SuiteParams, scale: int) -> Loaded:
    """An HR image, mod-cropped, and its LR image of each case."""
    hr = images.read_hr(path)
    try:
        lrs = suite.degrade_suite(hr, cases, keys[0].benchmark, keys[0].image, scale)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    height, width = (side // scale * scale for side in hr.shape[:2])
    return Loaded(hr[:height, :width], {key: lrs[key.case] for key in keys}, [])


def _content(path: Path) -> str:
    """Hash of a file; empty for what is no readable file, as the name bicubic is none."""
    try:
        return files.sha256(path)
    except OSError:
        return ""
