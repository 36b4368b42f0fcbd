"""evaluate: one run, or a control, on every benchmark and case: reports/scores/<run>.csv.

An interrupted evaluation resumes at the next image. On a machine with several GPUs

    torchrun --nproc-per-node 4 --no-python blindsr evaluate srresnet-rff-0

shares the images among them, with the same result (several machines need one file system).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock

from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.data import indices, pairs
from blindsr.data.images import RGB
from blindsr.data.pairs import Pair
from blindsr.evaluation import benchmarks, scoring
from blindsr.evaluation.benchmarks import key_of
from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import Key, Measure, Score
from blindsr.model import inference
from blindsr.runtime import devices, files, paths, provenance, recorded, temporary, tracking, world
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar
from blindsr.runtime.tracking import DataSet
from blindsr.runtime.world import Rank

_log = logging.getLogger(__name__)
_POLL = 0.2  # seconds between looks at what the other processes have scored


def run(params: Params, scored: Run) -> None:
    """Score models/<run>.safetensors, or the backbone without weights if the run is a control.

    Args:
        params: Settings of the project.
        scored: A trained run or a control.

    Raises:
        UserError: that counts the images without a score, after the others were scored; each is named in a line.
            Before, as `benchmarks.network_of` and `scoring.build_metrics` do.
    """
    settings, name = params.evaluate, scored.name
    devices.keep_freed_memory()
    network, info = benchmarks.network_of(params, scored)
    rank = world.rank()
    device = devices.choose(params.runtime.device)
    if rank.processes > 1 and device.type == "cuda" and device.index is None:
        device = devices.choose(f"cuda:{rank.local}")
    network.to(device)
    trunk, no_trunk = indices.trunk_file(params.data.lpips_trunk, params.data.roots)
    build = partial(
        scoring.build_metrics,
        crop_border=settings.crop_border,
        max_shift=settings.max_shift,
        trunk=trunk,
        no_trunk=no_trunk,
        device=devices.beside(device),
        download=settings.download_weights,
    )
    measure = Measure(build(settings.metrics), build(settings.unaligned_metrics))
    upscale = partial(
        inference.upscale_rgb, network, scale=params.scale, tile=settings.tile, overlap=settings.overlap
    )
    found = pairs.all_pairs(params)
    _warn_of_unpaired(found, measure)
    stamp = _key(params, scored, device.type, trunk, measure)
    state = paths.project_root() / ".train_state" / "evaluate" / f"{name}-{stamp}"
    state.parent.mkdir(parents=True, exist_ok=True)
    temporary.sweep(paths.SCORES)
    journal = Journal(state, str(rank.number))
    # two experiments that share a run: the second waits, instead of computing the same rows
    with _lock(state, rank.number), devices.threads(settings.threads):
        stamps = benchmarks.stamps(found)
        _score(name, found, stamps, upscale, measure, params.scale, journal, rank)
        if rank.number:
            return
        for other in range(1, rank.processes):
            with _lock(state, other):  # it has ended, or never begun: WORLD_SIZE may be left over from something else
                pass
        if rank.processes > 1:
            _score(name, found, stamps, upscale, measure, params.scale, journal, Rank())
        scores = _complete(found, stamps, journal)
        benchmarks.write_csv(scores, settings.metrics, paths.SCORES / f"{name}.csv")
        recorded.note(paths.SCORES / f"{name}.csv")
        journal.clear()
    key = info.run if info else f"{name}-{params.profile}"
    with tracking.open_run(name, key, {"profile": params.profile}) as tracked:
        tracked.summary(benchmarks.means(scores))
        tracked.artifacts(paths.SCORES / f"{name}.csv", "scores")
        sets = {pair.benchmark: paths.INDEX / f"{pair.benchmark}.json" for pair in found}
        tracked.inputs(
            [DataSet(own, files.sha256(index)[:16], "evaluation") for own, index in sets.items() if index.is_file()]
        )


def _warn_of_unpaired(found: Sequence[Pair], measure: Measure) -> None:
    """Say so where photos without HR images can have no score at all."""
    names = dict.fromkeys(pair.benchmark for pair in found if pair.unpaired)
    if names and all(metric.needs_hr or metric.lacks for metric in measure.metrics):
        _log.warning(
            "%s: no HR images, and no metric that needs none: add one to evaluate.metrics, such as pyiqa_niqe",
            ", ".join(names),
        )


def _score(
    name: str,
    todo: list[Pair],
    stamps: dict[Key, str],
    upscale: Callable[[Sequence[RGB]], Iterator[RGB]],
    measure: Measure,
    scale: int,
    journal: Journal,
    rank: Rank,
) -> None:
    """Score this process's share of the HR images into the journal, but what is there already."""
    mine = [pair for group in pairs.groups(todo)[rank.number :: rank.processes] for pair in group]
    done = journal.read()
    todo = [pair for pair in mine if (key_of(pair), stamps.get(key_of(pair), "")) not in done]
    failed = 0
    with Bar(name, len(mine), start=len(mine) - len(todo)) as bar:
        for result in benchmarks.evaluate(todo, upscale, measure, scale):
            journal.append((stamps[score.key], score) for score in result.scores)
            for error in result.errors:
                bar.say(f"error: {error}")
            failed += len(result.job.keys) - len(result.scores)
            bar.advance(len(result.job.keys))
    if failed:
        raise UserError(
            f"{name}: {failed} of {len(mine)} images have no score (named above): fix them and run the same command "
            "again, the others are kept"
        )


def _lock(state: Path, number: int) -> FileLock:
    """What a process holds while it scores its share."""
    return FileLock(state.with_suffix(f".{number}.lock" if number else ".lock"))


def _complete(wanted: list[Pair], stamps: dict[Key, str], journal: Journal) -> list[Score]:
    """The scores of all pairs, in order."""
    rows = journal.read()
    return [rows[key_of(pair), stamps.get(key_of(pair), "")] for pair in wanted]


def _key(params: Params, run: Run, device: str, trunk: Path | None, measure: Measure) -> str:
    """Hash of the weights and settings that determine the scores (16 hexadecimal digits).

    The images are not in it: each row of the journal has the hash of its own.
    """
    weights = [] if run.is_control else [paths.MODELS / f"{run}.safetensors"]
    made_by = {metric.name: metric.made_by for metric in measure.metrics if metric.made_by and not metric.lacks}
    determining = {
        "made_by": made_by,
        "files": [files.sha256(path) for path in (*weights, *([trunk] if trunk else []))],
        "evaluate": params.evaluate.model_dump(),
        "scale": params.scale,
        "device": device,
        "code": provenance.code_digest("evaluate", backbone=run.backbone),
    }
    return files.key(determining)[:16]
