"""leaderboard: many models on the test suite, each scored once, in one table that says what is certain."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from blindsr.apps import folder_scores, models, sealed
from blindsr.apps.leaderboard import benchmark_sets, board, entries, origin, output, scoring
from blindsr.apps.leaderboard.entries import Entry
from blindsr.apps.leaderboard.scoring import Candidate, Settings
from blindsr.config import params, registry
from blindsr.config.run import UNTRAINED
from blindsr.data import suite
from blindsr.evaluation import scoring as engine
from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import Key, Score
from blindsr.plugins.metrics.base import Metric
from blindsr.runtime import command, devices, escaping, outputs
from blindsr.runtime.errors import UserError, one_line

METRICS = ("psnr_db", "ssim", "lpips", "detail_cosine", "detail_amplitude", "psnr_best_db")
OUT, CACHE = Path("exports/leaderboard"), Path(".leaderboard")


class Options(NamedTuple):
    """What a user may choose."""

    cases: Sequence[str] = ()
    """As for `score`."""
    scale: int | None = None
    """Leaves models of other scales out; without it those of one scale are ranked among themselves."""
    by: str = "psnr_db"
    """Metric of the ranks."""
    metrics: Sequence[str] = METRICS
    """Of the tables, `by` among them."""
    sealed: str | None = None
    """Secret of another suite than the public one."""
    timed: bool = False
    """Measure the seconds per megapixel, which are not the same twice."""
    title: str = "Leaderboard"
    out: Path = OUT
    """Folder of leaderboard.csv, leaderboard.md and index.html."""
    cache: Path = CACHE
    """Folder that keeps every score by the hash of weights, image, settings and code."""
    device: str = "auto"
    lpips_trunk: Path | None = None
    trust: bool = False
    """As for `models.read`."""


def run(names: Sequence[str], on: Sequence[str], options: Options) -> None:
    """Score models on sets of HR images, write a CSV, a text and a page, and print the ranks.

    Args:
        names: Models, as for `entries.read`.
        on: Sets, as for `benchmark_sets.find`.
        options: Everything else.

    Raises:
        UserError: for wrong arguments, and one that counts what went wrong, after all else is written.
    """
    listed, by = entries.read(names), _ranking_metric(options.by, options.metrics)
    project = params.find(as_made=True)
    sources = benchmark_sets.find(on, project)
    chosen = suite.select(project.suite if project else suite.PAPER, options.cases)
    if options.sealed is not None:
        chosen = sealed.draw(chosen, options.sealed)
    for place in output.places(options.out):
        outputs.require_writable(place)
    where = devices.choose(options.device)
    trunk, no_trunk = folder_scores.trunk_of(options.lpips_trunk, project)
    if by.name == "lpips" and not trunk:
        raise UserError(f"--by {by.name} needs its weights: {no_trunk}")
    settings = Settings(sources, chosen, (), trunk, where, options.trust)
    devices.keep_freed_memory()
    with command.stoppable(lambda: f"scores are kept in {options.cache}, the same command goes on from there"):
        default = options.scale or (project.scale if project else models.default_scale(None))
        candidates, problems = _examine(listed, settings, options, default)
        scored = []
        done = Journal(options.cache).read()
        for scale in sorted({candidate.scale for candidate in candidates}):
            settings = settings._replace(metrics=_metrics(options.metrics, scale, trunk, no_trunk, where))
            for candidate in (one for one in candidates if one.scale == scale):
                rows, lines = scoring.score(candidate, settings, done, options.cache)
                scored.append((candidate, rows))
                problems += lines
        shown = [metric for metric in settings.metrics if not metric.lacks]
        boards = _boards(scored, settings, shown, by)
        about = origin.describe(settings, sorted(one.scale for one in boards), options.sealed is not None)
    if boards:
        output.write(boards, shown, by, about, options.title, options.out)
        output.show(boards, shown, by)
    for line in problems:
        print(escaping.terminal(f"error: {line}"))
    if problems or not boards:
        count = "1 problem is" if len(problems) == 1 else f"{len(problems)} problems are"
        what = f"{count} named above" if problems else "there is no image that can be scored"
        raise UserError(what if boards else f"no model could be ranked: {what}")


def _ranking_metric(name: str, shown: Sequence[str]) -> Metric:
    for one in (name, *shown):
        registry.require("metric", one)
    records = {one: registry.build("metric", one) for one in shown}
    ranking = {one: record for one, record in records.items() if record.higher_is_better is not None}
    if name not in ranking:
        raise UserError(f"--by {name}: models can be ranked by {', '.join(ranking) or 'none of these metrics'}")
    return ranking[name]


def _metrics(
    names: Sequence[str], scale: int, trunk: Path | None, no_trunk: str, where: torch.device
) -> list[Metric]:
    return engine.build_metrics(
        names, crop_border=scale, max_shift=0, trunk=trunk, no_trunk=no_trunk, device=devices.beside(where)
    )


def _examine(
    listed: Sequence[Entry], settings: Settings, options: Options, default: int
) -> tuple[list[Candidate], list[str]]:
    """Models that can be read, in the order of the list, and a line for each other one.

    A control has the scale of the networks beside it; where they have several, it is ranked among each.
    """
    found: dict[Entry, list[Candidate]] = {entry: [] for entry in listed}
    problems = []
    controls = [entry for entry in listed if entry.model in UNTRAINED]
    for entry in [*(entry for entry in listed if entry not in controls), *controls]:
        own = {candidate.scale for candidates in found.values() for candidate in candidates}
        scales = (sorted(own) or [default]) if entry in controls else [options.scale]
        for scale in scales:
            try:
                found[entry].append(scoring.examine(entry, scale, settings, timed=options.timed))
            except scoring.FAILURES as error:
                problems.append(f"{entry.title}: {error if isinstance(error, UserError) else one_line(error)}")
    return [candidate for candidates in found.values() for candidate in candidates], problems


def _boards(
    scored: Sequence[tuple[Candidate, dict[Key, Score]]], settings: Settings, shown: Sequence[Metric], by: Metric
) -> list[board.Board]:
    scales = sorted({candidate.scale for candidate, _ in scored})
    cases = list(settings.chosen.cases)
    made = [
        board.build([one for one in scored if one[0].scale == scale], settings.sources, cases, shown, by)
        for scale in scales
    ]
    return [one for one in made if one]
