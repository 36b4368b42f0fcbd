"""Work on many images at once, results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def cpu_count() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_ordered(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """`function` of each item in order, computed in `threads` threads that run at most as many items ahead.

    For functions that leave Python's lock most of the time, as Pillow, OpenCV, NumPy and torch do. The first
    exception in the order of the items is raised, and what was not begun is dropped.
    """
    if threads < 1:
        raise ValueError(f"threads must be 1 or more, got {threads}")
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[B]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
