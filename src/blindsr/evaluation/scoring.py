"""A network on HR images and their LR versions, metrics beside it: the engine of `evaluate` and `score`.

Three threads share the work: one reads (or makes) the next image, one runs the network, one scores what came out,
so that a CPU's evaluation costs little more than its inference. Results come in the order of the jobs, and do not
depend on the threads.
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import NamedTuple

from blindsr.data.images import RGB
from blindsr.plugins.metrics.base import cropped_pair
from blindsr.plugins.metrics.lpips import Lpips
from blindsr.plugins.metrics.psnr import psnr, psnr_best_shift, psnr_y
from blindsr.plugins.metrics.ssim import WINDOW, ssim
from blindsr.runtime import parallel
from blindsr.runtime.errors import UserError

METRICS = ("psnr_db", "psnr_y_db", "ssim", "lpips")
_UNSCORED = 3  # SR images that may wait for the metrics: more would only fill memory


class Key(NamedTuple):
    """What a row of scores is of."""

    benchmark: str
    case: str
    image: str


class Score(NamedTuple):
    """Scores of one image: PSNR in dB on RGB and on Y, SSIM in [0, 1], LPIPS (None without trunk weights).

    A metric that was not asked for is NaN (LPIPS: None). `psnr_shift_db` is the PSNR at the best whole-pixel shift,
    of images whose HR is not aligned; None for all others.
    """

    benchmark: str
    case: str
    image: str
    psnr_db: float
    psnr_y_db: float
    ssim: float
    lpips: float | None
    psnr_shift_db: float | None = None

    @property
    def key(self) -> Key:
        """Which image and case this is the score of."""
        return Key(*self[:3])


@dataclass(frozen=True)
class Measure:
    """What is computed of an SR image: `metrics` of METRICS, all but LPIPS without `crop_border` px at each side.

    `lpips` is None without trunk weights; `max_shift` (px) bounds the search of jobs that ask for one.
    """

    crop_border: int
    lpips: Lpips | None = None
    metrics: Collection[str] = METRICS
    max_shift: int = 0

    def against(self, hr: RGB, shifted: bool = False) -> Callable[[Key, RGB], Score]:
        """The scoring of SR images against one HR image: what depends on the HR alone is computed once.

        Raises UserError where the HR is too small for the crop or a metric.
        """
        border = self.crop_border
        smallest = WINDOW if "ssim" in self.metrics else 1
        cropped_pair(hr, hr, border, smallest + (2 * self.max_shift if shifted else 0))
        lpips = self.lpips.reference(hr) if self.lpips and "lpips" in self.metrics else None

        def score(key: Key, sr: RGB) -> Score:
            return Score(
                *key,
                psnr(sr, hr, border) if "psnr_db" in self.metrics else math.nan,
                psnr_y(sr, hr, border) if "psnr_y_db" in self.metrics else math.nan,
                ssim(sr, hr, border) if "ssim" in self.metrics else math.nan,
                lpips(sr) if lpips else None,
                psnr_best_shift(sr, hr, self.max_shift, border)[0] if shifted else None,
            )

        return score


class Loaded(NamedTuple):
    """What `Job.load` returns: the HR image, its LR images that are fit to be upscaled, and what the others lack."""

    hr: RGB
    lrs: dict[Key, RGB]
    errors: list[UserError]


@dataclass(frozen=True)
class Job:
    """One HR image with its LR images: `load` raises UserError where nothing of it can be scored.

    `shifted` asks for the PSNR at the best shift, too.
    """

    keys: Sequence[Key]
    load: Callable[[], Loaded]
    shifted: bool = False


class Result(NamedTuple):
    """Scores of a job in the order of its keys, and an error for each of its images that has none."""

    job: Job
    scores: list[Score]
    errors: list[UserError]


def score(
    jobs: Iterable[Job], upscale: Callable[[Sequence[RGB]], Iterator[RGB]], measure: Measure
) -> Iterator[Result]:
    """Score every job, in order; what cannot be scored is an error in its result and stops nothing.

    `upscale` maps LR images to their SR images, in order. Three jobs' images are in memory at
    most: one being read, one upscaled and one scored.
    """
    with ThreadPoolExecutor(1) as scorer:
        running: deque[_Running] = deque()
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
        self._against: Future[Callable[[Key, RGB], Score]] | None = None
        self._scores: list[Future[Score]] = []

    def run(
        self,
        loaded: Loaded,
        upscale: Callable[[Sequence[RGB]], Iterator[RGB]],
        measure: Measure,
        scorer: ThreadPoolExecutor,
    ) -> None:
        """Upscale the LR images, and hand each SR image to the scorer."""
        self.errors += loaded.errors
        against = self._against = scorer.submit(measure.against, loaded.hr, self._job.shifted)
        keys = list(loaded.lrs)
        try:
            for key, sr in zip(keys, upscale(list(loaded.lrs.values())), strict=True):
                self._scores.append(scorer.submit(lambda key, sr: against.result()(key, sr), key, sr))
                wait(self._scores[-_UNSCORED - 1 : -_UNSCORED])
        except UserError as error:
            self.errors.append(_named(keys[len(self._scores) :], error))

    def result(self) -> Result:
        """Wait for the scores. What is wrong with the HR image is said once, not for each case."""
        broken = self._against.exception() if self._against else None
        if isinstance(broken, UserError):
            return Result(self._job, [], [*self.errors, _named(self._job.keys, broken)])
        return Result(self._job, [future.result() for future in self._scores], self.errors)


def _named(keys: Sequence[Key], error: UserError) -> UserError:
    """The error with the image that it is of in front."""
    cases = ", ".join(key.case for key in keys)
    return UserError(f"{keys[0].benchmark}/{keys[0].image} ({cases}): {error}")
