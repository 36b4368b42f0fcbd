"""score: the test suite as a benchmark for anyone's network on anyone's HR images."""

import hashlib
import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from blindsr.acquisition import folder
from blindsr.acquisition.folder import HrFolder
from blindsr.apps import score_report
from blindsr.config import params
from blindsr.config.params import BICUBIC, Params
from blindsr.config.schema import SuiteParams
from blindsr.data import images, indices, suite
from blindsr.evaluation import benchmarks, scoring
from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import METRICS, Job, Key, Loaded, Measure, Score
from blindsr.foreign import checkpoints
from blindsr.model import inference, networks
from blindsr.model.inference import Tile
from blindsr.plugins.metrics.lpips import load_lpips
from blindsr.runtime import devices, files, provenance
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

_log = logging.getLogger(__name__)
_OVERLAP = 32


def run(
    hr_folder: Path,
    model: str,
    *,
    cases: Sequence[str] = (),
    metrics: Sequence[str] = METRICS,
    scale: int = 4,
    tile: Tile = "auto",
    device: str = "auto",
    lpips_trunk: Path | None = None,
    csv: Path | None = None,
    as_json: Path | None = None,
) -> None:
    """Degrade every image of `hr_folder` under every case, upscale it with `model`, score it and print a table.

    `model` is "bicubic" or a file that `checkpoints.load` knows. The cases are those of the project in the working
    directory, else the paper's; noise is seeded by the suite's seed and the names of folder, case and image. `csv`
    gets a row per image and case, in the columns of `benchmarks.write_csv`, and lets an interrupted run go on;
    `as_json` gets means and rows.

    Raises UserError for wrong arguments, and one that counts the images without scores, after all others are written.
    """
    project = params.find()
    chosen = suite.select(project.suite if project else suite.PAPER, cases)
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise UserError(f"unknown metric {', '.join(unknown) or 'none'}: choose from {', '.join(METRICS)}")
    source = folder.open_folder(hr_folder)
    where = devices.choose(device)
    devices.keep_freed_memory()
    network = devices.place(load_model(model, scale), where)
    trunk = _trunk(lpips_trunk, project) if "lpips" in metrics else None
    lpips = load_lpips(trunk).to(devices.beside(where)) if trunk else None
    border = project.evaluate.crop_border if project and project.scale == scale else scale
    measure = Measure(border, lpips, metrics)
    upscale = partial(inference.upscale_rgb, network, scale=scale, tile=tile, overlap=_OVERLAP)

    determining = {
        "files": [_content(path) for path in (Path(model), trunk or Path())],
        "settings": [scale, tile, border, sorted(metrics), where.type, chosen.seed],
        "code": provenance.code_digest("score"),
    }
    contents = {name: _content(path) for name, path in source.files.items()}
    stamps = {
        Key(source.name, case, name): _digest(determining, settings.model_dump(), contents[name])
        for case, settings in chosen.cases.items()
        for name in source.files
    }
    journal = Journal(csv.parent / f".{csv.name}.rows") if csv else None
    rows, lines = _score(source, chosen, scale, stamps, upscale, measure, journal)
    scores = [rows[key] for key in stamps if key in rows]
    if scores:
        name = f"{Path(model).name} ×{scale} on {source.name}"
        score_report.print_table(name, scores, metrics, list(chosen.cases))
        if csv:
            benchmarks.write_csv(scores, csv)
        if as_json:
            about = {"model": Path(model).name, "benchmark": source.name, "scale": scale}
            files.write_atomic(as_json, score_report.as_json(about, scores, metrics, lines))
    if lines:
        missing = len(stamps) - len(scores)
        raise UserError(f"{missing} of {len(stamps)} scores are missing: {len(lines)} problems are named above")
    if journal:
        journal.clear()


def load_model(model: str, scale: int) -> nn.Module:
    """The network "bicubic", or that in a file. Raises UserError as `checkpoints.load` does."""
    return networks.build_backbone(BICUBIC, {}, scale) if model == BICUBIC else checkpoints.load(Path(model), scale)


def _trunk(given: Path | None, project: Params | None) -> Path | None:
    """LPIPS' trunk: the file given, or the project's, if it was fetched; else None, with a warning."""
    if given:
        return given
    if project and project.data.lpips_trunk:
        try:
            index = indices.read_index(project.data.lpips_trunk)
        except UserError:
            index = None
        if index and index.images:
            return indices.set_folder(index.name, project.data.roots) / index.images[0].file
    _log.warning("no LPIPS trunk weights: lpips stays empty; give AlexNet's with --lpips-trunk")
    return None


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


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
