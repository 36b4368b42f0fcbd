"""Scores of every model of a leaderboard: each is computed once, and kept by the hash of all that it is of."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from blindsr.acquisition.folder import HrFolder
from blindsr.apps import folder_scores, models
from blindsr.apps.leaderboard.entries import Entry
from blindsr.config.run import UNTRAINED
from blindsr.config.schema import SuiteParams
from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import Key, Measure, Score
from blindsr.model import architecture, inference
from blindsr.plugins.metrics.base import Metric
from blindsr.runtime import devices, provenance
from blindsr.runtime.errors import UserError, one_line

OVERLAP = 32
FAILURES = (UserError, RuntimeError, ValueError)
"""What a network that fails raises: a shape that does not fit its scale is a ValueError."""
COST_SIDE = 64  # LR px of the image that operations and seconds are of
_REPEATS = 3


class Candidate(NamedTuple):
    """A model that could be read, and what it costs."""

    entry: Entry
    scale: int
    digest: str
    """SHA-256 of its file; empty for a control."""
    parameters: int | None
    """None where the file does not tell."""
    flops: int | None
    """Of one LR image of 64×64, two per multiply-add; None where they cannot be counted."""
    seconds: float | None = None
    """Per megapixel that it makes, on this machine; None where nobody asked."""


class Settings(NamedTuple):
    """What is asked of every model."""

    sources: Sequence[HrFolder]
    chosen: SuiteParams
    metrics: Sequence[Metric]
    trunk: Path | None
    where: torch.device
    trust: bool


def examine(entry: Entry, scale: int | None, settings: Settings, *, timed: bool) -> Candidate:
    """Read a model, and count what it costs.

    Args:
        entry: The model.
        scale: As for `models.read`.
        settings: What is asked of every model.
        timed: Measure the seconds, too.

    Returns:
        What is known of it.

    Raises:
        UserError: as `models.read` does.
    """
    network, own, path = models.read(entry.model, scale, trust=settings.trust)
    digest = folder_scores.content(path) if path else ""
    parameters, flops = _parameters(network), _flops(network)
    if entry.model in UNTRAINED:
        parameters, flops = 0, 0
    seconds = _seconds(devices.place(network, settings.where), own) if timed else None
    return Candidate(entry, own, digest, parameters, flops, seconds)


def _parameters(network: nn.Module) -> int | None:
    """None for ONNX and frozen TorchScript, whose numbers are constants of a graph."""
    own = [parameter.numel() for name, parameter in network.named_parameters() if name != "anchor"]
    return sum(own) if own else None


def _flops(network: nn.Module) -> int | None:
    """Nothing that a foreign network may do here is a reason to leave its scores out."""
    with contextlib.suppress(Exception):
        return architecture.count_flops(network, COST_SIDE, COST_SIDE) or None
    return None


def _seconds(network: nn.Module, scale: int) -> float:
    """The fastest of some passes, after one that does not count."""
    lr = torch.rand(3, COST_SIDE, COST_SIDE, generator=torch.Generator().manual_seed(0))
    taken = []
    for _ in range(_REPEATS + 1):
        began = time.perf_counter()
        inference.upscale(network, lr, scale)  # its result is on the CPU, so a GPU has ended
        taken.append(time.perf_counter() - began)
    return min(taken[1:]) / ((COST_SIDE * scale) ** 2 / 1e6)


def score(
    candidate: Candidate,
    settings: Settings,
    done: Mapping[tuple[Key, str], Score],
    cache: Path,
) -> tuple[dict[Key, Score], list[str]]:
    """Score a model where it was not scored yet.

    Args:
        candidate: The model.
        settings: What is asked of every model.
        done: Every score that is kept.
        cache: Folder that keeps the new ones.

    Returns:
        Its scores, and a line for each problem, which name it.
    """
    wanted = _stamps(candidate, settings)
    work = folder_scores.Work(settings.sources, settings.chosen, candidate.scale, wanted)
    if all((key, stamp) in done for key, stamp in wanted.items()):
        return {key: done[key, stamp] for key, stamp in wanted.items()}, []
    title = candidate.entry.title
    journal = Journal(cache, (candidate.digest or candidate.entry.model)[:16])
    try:
        network, _, _ = models.read(candidate.entry.model, candidate.scale, trust=settings.trust)
        network = devices.place(network, settings.where)
        upscale = partial(inference.upscale_rgb, network, scale=candidate.scale, tile="auto", overlap=OVERLAP)
        measure = Measure(settings.metrics)
        rows, lines = folder_scores.score(work, upscale, measure, done, journal, label=title, quiet=True)
    except FAILURES as error:  # of a foreign network; what was scored before is kept
        kept = Journal(cache).read()
        rows = {key: kept[key, stamp] for key, stamp in wanted.items() if (key, stamp) in kept}
        return rows, [f"{title}: {error if isinstance(error, UserError) else one_line(error)}"]
    more = f" (and {len(lines) - 1} problems more)" if len(lines) > 1 else ""
    return rows, [f"{title}: {lines[0]}{more}"] if lines else []


def _stamps(candidate: Candidate, settings: Settings) -> dict[Key, str]:
    """What the scores of a model are of: its weights or name, the images, the settings and the code."""
    determining = {
        "model": candidate.digest or candidate.entry.model,
        "trunk": folder_scores.content(settings.trunk) if settings.trunk else "",
        "metrics": sorted(metric.name for metric in settings.metrics if not metric.lacks),
        "settings": [candidate.scale, OVERLAP, settings.where.type, settings.chosen.seed],
        "code": provenance.code_digest("leaderboard"),
    }
    return folder_scores.stamps(settings.sources, settings.chosen, determining)
