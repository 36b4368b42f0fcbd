"""In a worker: one of several trainings that run at the same time on one device."""

from typing import Any

from benchmarks.gpu_check.protocol import emit, wait_for_go
from benchmarks.gpu_check.spec import Spec
from benchmarks.gpu_check.subject import running
from benchmarks.gpu_check.work_feed import Feed
from blindsr.runtime import devices


def run(store: str, small: bool, seconds: float, workers: int, spec: dict[str, Any]) -> None:
    """Warm up, wait until all are ready, and train for so long."""
    devices.keep_freed_memory()
    devices.make_repeatable(devices.choose("auto"))
    with running(Spec(**spec), small) as subject:
        feed = Feed(subject, store, small, workers)
        feed.run(0, 8)
        wait_for_go()
        emit(result=feed.run(seconds, 1), spec=spec)
