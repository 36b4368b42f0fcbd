"""score: the test suite as a benchmark for anyone's network on anyone's HR images."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from blindsr.acquisition import folder
from blindsr.acquisition.folder import HrFolder
from blindsr.apps import folder_scores, models, score_files, score_report
from blindsr.config import params, registry
from blindsr.config.params import Params
from blindsr.config.schema import EvaluateParams, SuiteParams
from blindsr.data import suite
from blindsr.data.images import RGB
from blindsr.evaluation import scoring
from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import Key, Measure, Score
from blindsr.model import inference
from blindsr.model.inference import Tile
from blindsr.plugins.metrics.base import Metric
from blindsr.runtime import command, devices, outputs, provenance
from blindsr.runtime.errors import UserError

_METRICS = ["psnr_db", "psnr_y_db", "ssim", "lpips", "detail_cosine", "detail_amplitude", "psnr_best_db"]


def run(
    hr_folder: Path,
    model: str,
    *,
    against: str | None = None,
    cases: Sequence[str] = (),
    metrics: Sequence[str] = (),
    scale: int | None = None,
    tile: Tile = "auto",
    overlap: int | None = None,
    device: str = "auto",
    lpips_trunk: Path | None = None,
    csv: Path | None = None,
    as_json: Path | None = None,
    overwrite: bool = False,
    trust: bool = False,
    unpaired: bool = False,
    download: bool = False,
) -> None:
    """Degrade every image of `hr_folder` under every case, upscale it with `model`, score it and print a table.

    Args:
        hr_folder: Of HR images; or, if `unpaired`, of the photos that are to be upscaled.
        model: As for `models.read`.
        against: Another one, scored too: a table says what the difference in PSNR is made of (`score_against`).
        cases: Those of the project in the working directory, else the paper's, if none is named; noise is seeded by
            the suite's seed and the names of folder, case and image.
        metrics: Likewise.
        scale: As for `models.read`.
        tile: LR px of a tile's side, "auto" or None.
        overlap: LR px of its surroundings that a tile is given; None: what the network needs.
        device: As for `devices.choose`.
        lpips_trunk: File of AlexNet's weights.
        csv: Gets a row per image and case, with a column per metric; an interrupted run resumes from it. With
            `against` the rows of that are beside it, in a file whose name ends in -against.
        as_json: Gets means and rows, and with `against` the split.
        overwrite: Replace these files if they hold other scores.
        trust: As for `models.read`.
        unpaired: The photos have no HR images: nothing is degraded, and only metrics that need none are computed.
        download: Whether packages of others may fetch the weights of their metrics; where the settings of the
            project allow it, they may, too.

    Raises:
        UserError: for wrong arguments, and one that counts the images without scores, after all others are written.
    """
    project = params.find()
    other = EvaluateParams(metrics=_METRICS, crop_border=models.default_scale(None), overlap=0, threads=1)
    settings = project.evaluate if project else other
    columns = list(dict.fromkeys(metrics)) or settings.metrics
    if against:
        from blindsr.apps import score_against  # with pandas, which takes half a second to import

        columns = list(dict.fromkeys([*columns, *score_against.NEEDED]))
    for name in columns:
        registry.require("metric", name)
    if unpaired:
        chosen = _no_cases(cases, against)
        columns = _without_hr(columns, bool(metrics))
    else:
        chosen = suite.select(project.suite if project else suite.PAPER, cases)
    trunk, no_trunk = folder_scores.trunk_of(lpips_trunk, project)
    if trunk is None and not metrics and "lpips" in columns and len(columns) > 1:
        columns = [name for name in columns if name != "lpips"]
        print(f"note: without LPIPS; to have it, {no_trunk}", file=sys.stderr)
    source, where = folder.open_folder(hr_folder), devices.choose(device)
    task = _Task(project, settings, chosen, columns, source, where, tile, overlap, trunk, no_trunk, trust, download)
    devices.keep_freed_memory()
    csv, as_json = (path and outputs.pointed_to(path) for path in (csv, as_json))
    beside = _beside(csv) if csv and against else None
    _require_places(csv, beside, as_json)
    mine = task.prepare(model, scale, csv)
    theirs = task.prepare(_no_csv(against, hr_folder), mine.scale, beside) if against else None
    for place in [] if overwrite else [path for path in (csv, beside, as_json) if path]:
        score_files.require_room(place, mine.stamps.keys(), columns)
    made = task.score(mine, overwrite=overwrite)
    shown = [made.show] if made.scores else []
    split, lines, missing, wanted = None, made.lines, made.wanted - len(made.scores), made.wanted
    unwritten = [*made.unwritten]
    if theirs:
        baseline = task.score(theirs, overwrite=overwrite)
        lines, wanted = [*lines, *baseline.lines], wanted + baseline.wanted
        missing += baseline.wanted - len(baseline.scores)
        shown += [baseline.show] if baseline.scores else []
        unwritten += baseline.unwritten
        if made.scores and baseline.scores:
            split = score_against.compare(made.scores, baseline.scores, list(chosen.cases))
            shown.append(partial(score_against.print_table, split, made.model, baseline.model))
    if as_json and made.scores:
        about = {"model": made.model, "benchmark": task.source.name, "scale": made.scale}
        about |= {} if split is None else {"against": Path(against or "").name, "split": split.to_dict("records")}
        text = score_report.as_json(about, made.scores, columns, lines)
        unwritten += _unwritten(partial(score_files.write_json, as_json, text, overwrite=overwrite))
    for ready in (mine, theirs):
        if ready and ready.journal and not lines and not unwritten:  # last: with it, the same command goes on
            ready.journal.clear()
    for show in shown:
        show()
    if lines:
        problems = "1 problem is" if len(lines) == 1 else f"{len(lines)} problems are"
        unwritten.append(f"{missing} of {wanted} scores are missing: {problems} named above")
    if unwritten:
        raise UserError("; ".join(unwritten))


def _no_cases(cases: Sequence[str], against: str | None) -> SuiteParams:
    """In the place of the suite, for photos without HR images."""
    for option, given in (("--cases", cases), ("--against", against)):
        if given:
            raise UserError(f"{option} is for HR images, and --unpaired says that there are none: leave one out")
    return folder_scores.UNPAIRED


def _without_hr(columns: Sequence[str], named: bool) -> list[str]:
    """Those metrics that need no HR image."""
    records: list[Metric] = [registry.build("metric", name) for name in columns]
    wrong = [record.name for record in records if record.needs_hr]
    if wrong and named:
        raise UserError(f"{', '.join(wrong)}: compared with HR images, and --unpaired says that there are none")
    if len(wrong) == len(records):
        raise UserError("--unpaired takes metrics that need no HR image: name them, as --metrics pyiqa_niqe")
    return [record.name for record in records if not record.needs_hr]


def _beside(csv: Path) -> Path:
    """Where the scores of the other model are written."""
    if outputs.is_stream(csv):
        raise UserError(f"--csv {csv} takes the scores of one model, and --against has two: name a file")
    return csv.with_name(f"{csv.stem}-against{csv.suffix}")


def _require_places(*places: Path | None) -> None:
    """Everything that will be written can be, and nothing twice."""
    known = [place for place in places if place]
    for place in known:
        outputs.require_writable(place)
        if known.count(place) > 1 and not outputs.is_stream(place):
            raise UserError(f"{place} is named twice: give --csv and --json a file each")


def _no_csv(against: str, folder: Path) -> str:
    """The other model; a file of scores is none."""
    if Path(against).suffix == ".csv":
        raise UserError(f"{against} is a CSV of scores, and {folder} a folder: compare two CSVs, or name a model")
    return against


def _unwritten(write: Callable[[], None]) -> list[str]:
    """Write one of several files; what went wrong, so that it costs the others nothing."""
    try:
        write()
    except UserError as error:
        return [str(error)]
    return []


class _Ready(NamedTuple):
    """A model that is read, and all that its scores depend on."""

    name: str
    scale: int
    upscale: Callable[[Sequence[RGB]], Iterator[RGB]]
    records: list[Metric]
    stamps: dict[Key, str]
    csv: Path | None
    journal: Journal | None
    done: dict[tuple[Key, str], Score]
    """Those scores that an interrupted run has left."""


class _Scored(NamedTuple):
    """The scores of one model, how many were wanted, and a line for each problem."""

    model: str
    scale: int
    scores: list[Score]
    wanted: int
    lines: list[str]
    unwritten: list[str]
    """Why the file of the scores is not there."""
    show: Callable[[], None]
    """Prints the table of the scores; called once all files are written, since a terminal may be gone."""


@dataclass(frozen=True)
class _Task:
    """What is asked of every model."""

    project: Params | None
    settings: EvaluateParams
    chosen: SuiteParams
    columns: list[str]
    source: HrFolder
    where: torch.device
    tile: Tile
    overlap: int | None
    trunk: Path | None
    no_trunk: str
    trust: bool
    download: bool

    def prepare(self, model: str, scale: int | None, csv: Path | None) -> _Ready:
        """Read a model, whose scores go to `csv`: whatever is wrong with it is said before anything is scored."""
        network, scale, weights = models.read(model, scale, trust=self.trust)
        network = devices.place(network, self.where)
        border = self.settings.crop_border if self.project and self.project.scale == scale else scale
        records = scoring.build_metrics(
            self.columns,
            crop_border=border,
            max_shift=self.settings.max_shift,
            trunk=self.trunk,
            no_trunk=self.no_trunk,
            device=devices.beside(self.where),
            download=self.download or self.settings.download_weights,
        )
        others = [record.made_by for record in records if record.made_by and not record.lacks]
        if all(record.lacks for record in records):
            raise UserError(f"none of {', '.join(self.columns)} can be computed here, as said above")
        overlap = models.overlap(network, self.overlap)
        upscale = partial(inference.upscale_rgb, network, scale=scale, tile=self.tile, overlap=overlap)
        determining = [scale, self.tile, overlap, border, *others]
        stamps = self._stamps([weights or Path(), self.trunk or Path()], determining)
        kept = csv and not outputs.is_stream(csv)
        journal = Journal(csv.parent / f".{csv.name}.rows") if csv and kept else None
        found = journal.read() if journal else {}
        done = {(key, stamp): found[key, stamp] for key, stamp in stamps.items() if (key, stamp) in found}
        return _Ready(Path(model).name, scale, upscale, records, stamps, csv, journal, done)

    def score(self, ready: _Ready, *, overwrite: bool) -> _Scored:
        """Score a model, and write its CSV."""
        stamps, journal, csv = ready.stamps, ready.journal, ready.csv
        with command.stoppable(lambda: _kept(journal, stamps)):
            work = folder_scores.Work([self.source], self.chosen, ready.scale, stamps)
            rows, lines = folder_scores.score(work, ready.upscale, Measure(ready.records), ready.done, journal)
        scores = [rows[key] for key in stamps if key in rows]
        unwritten = []
        if scores and csv:
            unwritten = _unwritten(partial(score_files.write_csv, csv, scores, self.columns, overwrite=overwrite))
        title = f"{ready.name} ×{ready.scale} on {self.source.name}"
        show = partial(score_report.print_table, title, scores, ready.records, list(self.chosen.cases))
        return _Scored(ready.name, ready.scale, scores, len(stamps), lines, unwritten, show)

    def _stamps(self, weights: Sequence[Path], settings: Sequence[object]) -> dict[Key, str]:
        """What the scores of each image are of."""
        determining = {
            "files": [folder_scores.content(path) for path in weights],
            "settings": [*settings, sorted(self.columns), self.where.type, self.chosen.seed],
            "code": provenance.code_digest("score"),
        }
        return folder_scores.stamps([self.source], self.chosen, determining)


def _kept(journal: Journal | None, stamps: dict[Key, str]) -> str:
    """What an interrupted run leaves."""
    if not journal:
        return "nothing is kept; with --csv FILE the same command would go on from here"
    done = journal.read()
    count = sum((key, stamp) in done for key, stamp in stamps.items())
    return f"{count} of {len(stamps)} scores are kept, the same command goes on from there"
