"""In a worker: one measurement after the other, each told as soon as it is there.

A failed CUDA call may leave the process unusable: then it ends, and the check starts another one with what is left.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu_check import work_feed, work_profile
from benchmarks.gpu_check.protocol import emit
from benchmarks.gpu_check.spec import Spec
from benchmarks.gpu_check.subject import running
from blindsr.runtime import devices

_PASSES = 3


def run(jobs: list[dict[str, Any]], small: bool, deadline: float) -> None:
    """Do the jobs in order, each {"job": kind, …}; emit {"job": …, "result": …} or {"job": …, "error": …}."""
    devices.keep_freed_memory()
    devices.make_repeatable(devices.choose("auto"))
    kinds: dict[str, Callable[..., dict[str, Any]]] = {
        "step": step,
        "synthesis": work_feed.synthesis,
        "loader": work_feed.loader,
        "profile": work_profile.profile,
    }
    for job in jobs:
        if time.time() > deadline:
            emit(job=job, error="out of time")
            continue
        settings = {name: value for name, value in job.items() if name != "job"}
        try:
            emit(job=job, result=kinds[job["job"]](small=small, **settings))
        except Exception as error:
            emit(job=job, error=reason(error))
            if isinstance(error, RuntimeError) and "CUDA error" in str(error):
                emit(stopped=True)
                sys.exit(1)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def reason(error: BaseException) -> str:
    """An exception in one line, with the place in this project's code where it came up."""
    place, trace = "", error.__traceback__
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if "blindsr" in file and "site-packages" not in file:
            place = f" (at {file.rpartition('/')[2]}:{trace.tb_lineno})"
        trace = trace.tb_next
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}{place}"


def step(*, small: bool, seconds: float, **spec: Any) -> dict[str, Any]:
    """Iterations/s (median of passes that end with the device idle, slowest, fastest) and peak memory of a spec."""
    on_gpu = torch.cuda.is_available()
    with running(Spec(**spec), small) as subject:
        began = time.perf_counter()
        subject.warm_up()
        ready = time.perf_counter() - began
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        count = 3 if small else 10
        taken = _timed(subject.step, subject.wait, count)
        count = max(count, int(seconds / _PASSES * count / taken))
        rates = [count / _timed(subject.step, subject.wait, count) for _ in range(_PASSES)]
        peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None
        reserved = torch.cuda.max_memory_reserved() / 2**30 if on_gpu else None
        finite = bool(subject.sums.isfinite().all()) and subject.stepper.watch.steps_since_bad() == 0
    if not finite:
        raise ValueError("the loss is not finite")
    return {
        "per_second": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "peak_gib": peak,
        "reserved_gib": reserved,
        "ready_s": ready,
    }


def _timed(step: Callable[[], None], wait: Callable[[], None], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        step()
    wait()
    return time.perf_counter() - began
