"""A network on HR images and their LR versions, metrics beside it: the engine of `evaluate` and `score`.

Three threads share the work: one reads (or makes) the next image, one runs the network, one scores what came out,
so that a CPU's evaluation costs little more than its inference. Results come in the order of the jobs, and do not
depend on the threads.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from blindsr.config import registry
from blindsr.data.images import RGB
from blindsr.plugins.metrics.base import Metric
from blindsr.runtime import parallel
from blindsr.runtime.errors import UserError

_log = logging.getLogger(__name__)
_UNSCORED = 3  # SR images that may wait for the metrics: more would only fill memory


class Key(NamedTuple):
    """What a row of scores is of."""

    benchmark: str
    case: str
    image: str


class Score(NamedTuple):
    """The scores of one image: metric -> value. A metric that was not computed is not there."""

    key: Key
    values: Mapping[str, float]


@dataclass(frozen=True)
class Measure:
    """What is computed of an SR image: `metrics`, and of images whose HR is not aligned the `unaligned` ones, too."""

    metrics: Sequence[Metric]
    unaligned: Sequence[Metric] = ()

    def against(self, hr: RGB | None, unaligned: bool = False) -> Callable[[Key, RGB, RGB], Score]:
        """Prepare the scoring of SR images against one HR image; what a metric computes of the HR alone is done once.

        Args:
            hr: RGB uint8 (H, W, 3); None where there is none, and then metrics that need one are left out.
            unaligned: The HR image need not be aligned with the LR images: the `unaligned` metrics count, too.

        Returns:
            Function of a key, an SR image and its LR image, with their score. Metrics that lack weights are left out.

        Raises:
            UserError: as the result does, where an image is too small for a metric.
        """
        offered = [*self.metrics, *(self.unaligned if unaligned else ())]
        chosen = [metric for metric in offered if not metric.lacks and (hr is not None or not metric.needs_hr)]
        measures = {metric.name: metric.against(hr) for metric in chosen if metric.shared is None and hr is not None}

        def scored(key: Key, sr: RGB, lr: RGB) -> Score:
            if hr is None:
                return Score(key, {metric.name: metric.measure(sr, sr, lr) for metric in chosen})
            common = cache(lambda compute: compute(sr, hr, lr))
            return Score(key, {metric.name: scored_by(metric, common, sr, lr) for metric in chosen})

        def scored_by(metric: Metric, common: Callable[[Any], Any], sr: RGB, lr: RGB) -> float:
            if metric.shared is None:
                return measures[metric.name](sr, lr)
            compute, value = metric.shared
            return value(common(compute))

        return scored


def build_metrics(
    names: Iterable[str],
    *,
    crop_border: int,
    max_shift: int,
    trunk: Path | None,
    no_trunk: str,
    device: torch.device,
    download: bool = False,
) -> list[Metric]:
    """Build the metrics of the settings; one that lacks something stays empty, with one warning.

    Args:
        names: Names of the plug-ins.
        crop_border: px removed at each side, by metrics that do so.
        max_shift: HR px searched to each side for the best shift.
        trunk: File of AlexNet's weights; None where it is not here.
        no_trunk: What to do to have it.
        device: Where networks of metrics run.
        download: Whether packages of others may fetch the weights of their metrics.

    Returns:
        Metrics in the order of their names.

    Raises:
        UserError: for an unknown name, or weights that cannot be read.
    """
    offered: dict[str, Any] = {"crop_border": crop_border, "max_shift": max_shift, "trunk": trunk, "device": device}
    offered["download"] = download
    found: list[Metric] = [registry.build("metric", name, **offered) for name in names]
    for metric in found:
        if metric.lacks:
            hint = f"; to fill it, {no_trunk}" if registry.takes("metric", metric.name, "trunk") else ""
            _log.warning("%s: the %s column stays empty%s", metric.lacks, metric.name, hint)
    return found


class Loaded(NamedTuple):
    """What `Job.load` returns: the HR image, its LR images that are fit to be upscaled, and what the others lack.

    Photos that no HR image belongs to have None.
    """

    hr: RGB | None
    lrs: dict[Key, RGB]
    errors: list[UserError]


@dataclass(frozen=True)
class Job:
    """One HR image with its LR images: `load` raises UserError where nothing of it can be scored.

    `unaligned`: the HR need not be aligned with the LR images.
    """

    keys: Sequence[Key]
    load: Callable[[], Loaded]
    unaligned: bool = False


class Result(NamedTuple):
    """Scores of a job in the order of its keys, and an error for each of its images that has none."""

    job: Job
    scores: list[Score]
    errors: list[UserError]


def score(
    jobs: Iterable[Job], upscale: Callable[[Sequence[RGB]], Iterator[RGB]], measure: Measure
) -> Iterator[Result]:
    """Score every job; what cannot be scored is an error in its result and stops nothing.

    Three jobs' images are in memory at most: one being read, one upscaled and one scored.

    Args:
        jobs: Each with one HR image and its LR images.
        upscale: Maps LR images to their SR images, in order, all RGB uint8.
        measure: What is computed of an SR image.

    Returns:
        A result for each job, in order.
    """
    with ThreadPoolExecutor(1) as scorer:
        running: deque[_Running] = deque()
        try:
            for job, loaded in parallel.map_ordered(_load, jobs, threads=1):
                running.append(_Running(job))
                if isinstance(loaded, UserError):
                    running[-1].errors.append(loaded)
                else:
                    running[-1].run(loaded, upscale, measure, scorer)
                if len(running) > 1:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            scorer.shutdown(wait=False, cancel_futures=True)  # of an interrupted evaluation


def _load(job: Job) -> tuple[Job, Loaded | UserError]:
    try:
        return job, job.load()
    except UserError as error:
        return job, error


class _Running:
    """A job whose SR images are being scored."""

    def __init__(self, job: Job) -> None:
        self.errors: list[UserError] = []
        self._job = job
        self._scores: list[tuple[Key, Future[Score]]] = []

    def run(
        self,
        loaded: Loaded,
        upscale: Callable[[Sequence[RGB]], Iterator[RGB]],
        measure: Measure,
        scorer: ThreadPoolExecutor,
    ) -> None:
        """Upscale the LR images, and hand each SR image to the scorer."""
        self.errors += loaded.errors
        against = scorer.submit(measure.against, loaded.hr, self._job.unaligned)
        keys = list(loaded.lrs)
        try:
            for key, sr in zip(keys, upscale(list(loaded.lrs.values())), strict=True):
                future = scorer.submit(lambda key, sr: against.result()(key, sr, loaded.lrs[key]), key, sr)
                self._scores.append((key, future))
                wait([future for _, future in self._scores[-_UNSCORED - 1 : -_UNSCORED]])
        except UserError as error:
            self.errors.append(_named(keys[len(self._scores) :], error))

    def result(self) -> Result:
        """Wait for the scores. What is wrong in several cases, as an HR image that is too small, is said once."""
        scores: list[Score] = []
        wrong: dict[str, list[Key]] = {}
        for key, future in self._scores:
            error = future.exception()
            if isinstance(error, UserError):
                wrong.setdefault(str(error), []).append(key)
            else:
                scores.append(future.result())
        return Result(self._job, scores, [*self.errors, *(_named(keys, said) for said, keys in wrong.items())])


def _named(keys: Sequence[Key], error: UserError | str) -> UserError:
    """The error with the image that it is of in front."""
    cases = ", ".join(key.case for key in keys)
    return UserError(f"{keys[0].benchmark}/{keys[0].image} ({cases}): {error}")
