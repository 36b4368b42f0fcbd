"""In a worker: how fast batches are made, and whether a step waits for them."""

import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_check import settings
from benchmarks.gpu_check.spec import Spec
from benchmarks.gpu_check.subject import Subject, running
from benchmarks.gpu_check.work_profile import device_events, traced
from benchmarks.measure import Operations
from blindsr.data.patch_store import PatchStore
from blindsr.model.network import build_regularizer
from blindsr.runtime import devices
from blindsr.training.loading import Loader
from blindsr.training.samples import Batches

_LOOK_EVERY = 50  # steps after which the trainer waits for the device, too
_ENDLESS = 10**8  # iterations


class _Few(Batches):
    together = 2


def batches(store: str, reg: str, small: bool) -> Batches:
    """Training batches of the paper's settings, for a regularizer's number of views."""
    params = settings.params(small)
    views = build_regularizer(reg, params.reg.settings[reg].hyper).views
    train = settings.training(small, "fp32")
    kind = _Few if small else Batches
    return kind(PatchStore(Path(store)), train, settings.degradation(small), seed=0, views=views, scale=params.scale)


def synthesis(*, store: str, small: bool, groups: int) -> dict[str, Any]:
    """Of a batch: ms to draw and read it on one core, ms of the host to launch it, ms on the device, launches."""
    device = devices.choose("auto")
    made, reading, launching, whole = batches(store, "rff", small), [], [], []
    with devices.threads(1), torch.no_grad():
        made.finish(made.sources(0), device)  # tables and kernels that are kept
        for group in range(1, groups + 1):
            began = time.perf_counter()
            sources = made.sources(group)
            read = time.perf_counter()
            made.finish(sources, device)
            launched = time.perf_counter()
            if device.type == "cuda":
                torch.cuda.synchronize()
            reading.append(read - began)
            launching.append(launched - read)
            whole.append(time.perf_counter() - read)
        sources = made.sources(groups + 1)
        if device.type == "cuda":
            _, events = traced(lambda: made.finish(sources, device))
            kernels = device_events(events)
            launches, busy = len(kernels), sum(event["dur"] for event in kernels) / 1e3
            top = _top(kernels)
        else:
            with Operations() as counted:
                made.finish(sources, device)
            launches, busy, top = counted.count, None, []
    per_batch = 1e3 / made.together
    return {
        "batches_per_second": 1 / (statistics.median(whole) / made.together),
        "together": made.together,
        "read_ms": statistics.median(reading) * per_batch,
        "launch_ms": statistics.median(launching) * per_batch,
        "whole_ms": statistics.median(whole) * per_batch,
        "device_ms": None if busy is None else busy / made.together,
        "launches": launches / made.together,
        "top": top,
    }


def _top(kernels: list[dict[str, Any]]) -> list[str]:
    total = sum(event["dur"] for event in kernels)
    by_name: dict[str, float] = {}
    for event in kernels:
        by_name[event["name"]] = by_name.get(event["name"], 0.0) + event["dur"]
    longest = sorted(by_name.items(), key=lambda item: -item[1])[:3]
    return [f"{100 * time / total:.0f} % {name[:60]}" for name, time in longest]


def loader(*, store: str, small: bool, seconds: float, workers: int, **spec: Any) -> dict[str, Any]:
    """Iterations/s on real batches, and the share of the time that the step waited for them."""
    with running(Spec(**spec), small) as subject:
        feed = Feed(subject, store, small, workers)
        feed.run(0, 8)
        return feed.run(seconds, 1)


class Feed:
    """A subject that trains on real batches."""

    def __init__(self, subject: Subject, store: str, small: bool, workers: int) -> None:
        """`workers` processes draw and read."""
        self._subject = subject
        self._loader = Loader(batches(store, subject.spec.reg, small), 0, _ENDLESS, workers, subject.device)
        self._batches = iter(self._loader)

    def run(self, seconds: float, least: int) -> dict[str, Any]:
        """Train for so long, and at least so many steps: iterations/s, and the share of the time spent waiting."""
        self._subject.wait()
        began, waited, done = time.perf_counter(), self._loader.waited, 0
        for done in itertools.count(1):
            self._subject.step(next(self._batches))
            if done % _LOOK_EVERY == 0:
                self._subject.stepper.watch.steps_since_bad()
            if done >= least and time.perf_counter() - began >= seconds:
                break
        self._subject.wait()
        taken = time.perf_counter() - began
        return {"per_second": done / taken, "wait_share": (self._loader.waited - waited) / taken, "steps": done}
