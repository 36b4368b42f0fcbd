"""Processes that end with those that started them, so that nothing goes on alone after a kill."""

import contextlib
import ctypes
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

_PDEATHSIG = 1  # of prctl.h
_LOOK_EVERY = 1.0  # seconds, where the system tells nobody of a process that ends
_SAME = 5.0  # seconds that a moment may seem to move, while a clock is being set
_STARTED_BY = "BLINDSR_STARTED_BY"  # process and moment of its start, of a launcher above DVC
_STAGE = "DVC_STAGE"  # which DVC sets for the commands that it runs


def end_with_parent(parent: int) -> None:
    """Have the system kill this process once the one that started it has ended, however that ends.

    Elsewhere than on Linux nothing happens.

    Args:
        parent: Its process id, as the parent knows it.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended before the system was told
            os._exit(1)


def started_here() -> dict[str, str]:
    """What a launcher adds to the environment of what it starts, which then stops when the launcher ends."""
    return {_STARTED_BY: f"{os.getpid()}:{_born(os.getpid()):.0f}"}


def stop_with_starters(*, parent: bool = False) -> None:
    """Send this process SIGTERM once DVC, or a launcher above it, has ended: nobody would take its result.

    Under neither of them nothing happens. SIGTERM also comes where one of them has ended already.

    Args:
        parent: Also watch the parent, whatever it is.
    """
    watched = [pid for pid in (_launcher(), _dvc(), os.getppid() if parent else None) if pid is not None]
    _watch(watched, lambda: os.kill(os.getpid(), signal.SIGTERM))


def _launcher() -> int | None:
    said = re.fullmatch(r"(\d+):(\d+)", os.environ.get(_STARTED_BY, ""))
    if said is None:
        return None
    return int(said[1]) if _is(int(said[1]), float(said[2])) else -1


def _dvc() -> int | None:
    """The process of DVC: the nearest one above that has not the name of the stage that this one works for."""
    stage = os.environ.get(_STAGE)
    if stage is None:
        return None
    import psutil  # a few milliseconds, which only these need

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().parents():
            if process.environ().get(_STAGE) != stage:
                return int(process.pid)
    return os.getppid()  # of a process above nothing can be said, or it has ended


def _born(pid: int) -> float:
    """When a process was started, in seconds since 1970; 0 if there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _watch(processes: Sequence[int], then: Callable[[], None]) -> None:
    """Call a function, in a thread, as soon as one of the processes has ended."""
    if not processes:
        return
    handles: list[int] = []
    try:
        if hasattr(os, "pidfd_open"):
            handles = [os.pidfd_open(pid) for pid in processes]
    except (OSError, OverflowError):
        if any(pid <= 0 or not _born(pid) for pid in processes):
            then()
            return
    threading.Thread(target=_wait, args=(processes, handles, then), daemon=True).start()


def _wait(processes: Sequence[int], handles: Sequence[int], then: Callable[[], None]) -> None:
    if len(handles) == len(processes):
        poll = select.poll()
        for handle in handles:
            poll.register(handle, select.POLLIN)
        poll.poll()
    else:
        born = [_born(pid) for pid in processes]
        while all(_is(pid, moment) for pid, moment in zip(processes, born, strict=True)):
            time.sleep(_LOOK_EVERY)
    then()


def _is(pid: int, born: float) -> bool:
    """Whether this process is still the one that was started then: a number may be taken again."""
    return pid > 0 and abs(_born(pid) - born) < _SAME
