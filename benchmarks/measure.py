"""Interleaved timing, and what a benchmark returns: values with their spread, targets, and checks of equality."""

import contextlib
import gc
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode

from blindsr.runtime import devices

_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt}


@dataclass(frozen=True)
class Bound:
    """A limit that a value must keep: Bound(">=", 8)."""

    relation: Literal[">=", "<=", ">"]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether `value` keeps it; nan keeps none."""
        return bool(_COMPARE[self.relation](value, self.limit))


@dataclass(frozen=True)
class Check:
    """Agreement of the two implementations: `what` was measured, `value`, and the bound it must keep."""

    what: str
    value: float
    bound: Bound

    @property
    def passed(self) -> bool:
        """Whether the value keeps its bound."""
        return self.bound.holds(self.value)

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAIL"
        return f"{self.what} {self.value:.3g} ({self.bound.relation} {self.bound.limit:g}: {verdict})"


@dataclass(frozen=True)
class Result:
    """One row: samples of a ratio ("x"), a share or a size, with its target if it has one."""

    topic: str
    what: str
    samples: Sequence[float]
    unit: Literal["x", "%"]
    target: Bound | None
    detail: str
    checks: Sequence[Check] = field(default=())

    @property
    def value(self) -> float:
        """The median of the samples."""
        return float(np.median(self.samples))

    @property
    def spread(self) -> tuple[float, float]:
        """Lower and upper quartile."""
        low, high = np.percentile(self.samples, [25, 75])
        return float(low), float(high)

    @property
    def verdict(self) -> str:
        """PASS or FAIL against the target; "-" without one."""
        if self.target is None:
            return "-"
        return "PASS" if self.target.holds(self.value) else "FAIL"


def interleave(repetitions: int, *functions: Callable[[], object]) -> NDArray[np.float64]:
    """Seconds that each function took in each repetition, (functions, repetitions).

    Every round runs all functions once, so that a change of the machine's speed meets them alike. Where there
    are several, one more before them warms up.
    """
    seconds = np.empty((len(functions), repetitions))
    for repetition in range(-1 if repetitions > 1 else 0, repetitions):
        gc.collect()
        with _without_collector():
            for number, function in enumerate(functions):
                start = time.perf_counter()
                function()
                elapsed = time.perf_counter() - start
                if repetition >= 0:
                    seconds[number, repetition] = elapsed
    return seconds


def compare(
    topic: str,
    what: str,
    target: Bound | None,
    checks: Sequence[Check],
    repetitions: int,
    plain: Callable[[], object],
    ours: Callable[[], object],
    threads: int = 1,
) -> Result:
    """Time both on `threads` CPU threads of torch; the samples are plain / ours, round by round."""
    with devices.threads(threads):
        seconds = interleave(repetitions, plain, ours)
    return Result(topic, what, (seconds[0] / seconds[1]).tolist(), "x", target, times(*seconds), checks)


def times(plain: NDArray[np.float64], ours: NDArray[np.float64]) -> str:
    """Median times of both, in words."""
    return f"plain {duration(float(np.median(plain)))}, ours {duration(float(np.median(ours)))}"


def duration(seconds: float) -> str:
    """Seconds with three digits in the unit that suits them."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def same_distribution(what: str, plain: Sequence[float], ours: Sequence[float], least: float = 1e-3) -> Check:
    """Kolmogorov-Smirnov test of two samples: its p-value must not be tiny."""
    return Check(f"KS p-value, {what}", float(stats.ks_2samp(plain, ours).pvalue), Bound(">=", least))


class Operations(TorchDispatchMode):
    """In a `with` block: how many operations torch dispatches, views apart: what many small ones cost."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        aliases = [returned.alias_info for returned in function._schema.returns]
        self.count += not any(alias is not None and not alias.is_write for alias in aliases)
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
