"""Work on many items at once, in threads or in processes: results in order, and nothing left behind."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from blindsr.runtime.errors import UserError

A = TypeVar("A")
B = TypeVar("B")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Number of CPU cores that this process may use."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_ordered(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """Compute a function of each item in threads, in order.

    For functions that leave Python's lock most of the time, as Pillow, OpenCV, NumPy and torch do. The first
    exception in the order of the items is raised, and what was not begun is dropped.

    Args:
        function: Safe to call in several threads at once.
        items: Taken as they are needed.
        threads: How many, >= 1; they run at most as many items ahead.

    Returns:
        The results, in the order of the items.

    Raises:
        ValueError: at the first step, for fewer threads than 1.
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


@contextlib.contextmanager
def in_order(work: Callable[..., Result], *arguments: Iterable[Any], workers: int) -> Iterator[Iterator[Result]]:
    """Compute a function of items in processes, as `map` does.

    Since results come in the order of the items, so do errors: which item is reported does not depend on the
    processes. An exception in the block drops what has not begun.

    Args:
        work: Can be pickled, as what it takes and returns.
        *arguments: As for `map`.
        workers: Number of processes; 1: this one.

    Yields:
        The results, in the order of the items.

    Raises:
        UserError: if a process was killed.
    """
    if workers == 1:
        yield map(work, *arguments)
        return
    # a new interpreter would import torch first, which takes seconds; elsewhere than on Linux forks are not safe
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker)
    try:
        yield pool.map(work, *arguments)
    except BrokenProcessPool:
        raise UserError(
            f"one of {workers} processes was killed, probably for memory: run the same command on fewer cores "
            "(taskset -c 0,1 …), it resumes from here"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it: a worker that outlives it would keep its locks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
