"""Files over HTTP: resumed after a cut, retried, checked while they stream, and whole or not there.

Proxies, certificates and passwords come from where requests takes them: HTTPS_PROXY, HTTP_PROXY, NO_PROXY,
REQUESTS_CA_BUNDLE and ~/.netrc.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock
import requests
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from blindsr.acquisition._http import Again, Job, Stopped, attempt, check_space, is_right, size_of

__all__ = ["ATTEMPTS", "Job", "download", "download_all"]

ATTEMPTS = 5  # in a row without a new byte
_LINE_EVERY = 30.0  # seconds between plain lines of progress
_MIB = float(1 << 20)


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    md5: str | None = None,
    sha256: str | None = None,
    label: str,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], object] = time.sleep,
) -> Path:
    """Fetch one file; if it is there and right, it is not fetched again.

    The bytes go to <target>.part, which outlives an interruption and is resumed by the next call.

    Args:
        url: Where it is.
        target: Path that the file gets; parent folders are made.
        size: In bytes, where known.
        md5: Hexadecimal digits, where known.
        sha256: Likewise.
        label: Name of the data set, for messages.
        attempts: In a row that may bring nothing new.
        sleep: Waits for so many seconds between two attempts.

    Returns:
        `target`.

    Raises:
        UserError: after the last attempt, or at once where another one is pointless: one line with set, URL, what was
            expected, what came, and what to do.
    """
    job = Job(url=url, target=target, size=size, md5=md5, sha256=sha256, label=label)
    with requests.Session() as session, _Meter(label, 1) as meter:
        return _fetch(job, session, meter, threading.Event(), attempts, sleep)


def download_all(
    jobs: Sequence[Job],
    jobs_at_once: int = 4,
    *,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], object] | None = None,
) -> list[Path]:
    """Fetch many files under one progress bar.

    The first failure stops the others: finished files stay, unfinished ones are resumed by the next call.

    Args:
        jobs: The files, each as the arguments of `download` describe it.
        jobs_at_once: How many are fetched at a time.
        attempts: As for `download`, of each file.
        sleep: As for `download`; None: a wait that the first failure ends.

    Returns:
        The targets, in the order of `jobs`.

    Raises:
        UserError: as `download` does, and where the disk has no room for all of them.
    """
    if not jobs:
        return []
    _check_space_for_all(jobs)
    stop = threading.Event()
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work(meter: _Meter) -> None:
        with requests.Session() as session:
            while not stop.is_set():
                try:
                    _fetch(waiting.get_nowait(), session, meter, stop, attempts, sleep or stop.wait)
                except (queue.Empty, Stopped):
                    return
                except BaseException:
                    stop.set()
                    raise

    label = jobs[0].label if len({job.label for job in jobs}) == 1 else "download"
    with _Meter(label, len(jobs)) as meter, ThreadPoolExecutor(jobs_at_once) as pool:
        workers = [pool.submit(work, meter) for _ in range(min(jobs_at_once, len(jobs)))]
        try:
            for worker in workers:
                worker.result()
        finally:
            stop.set()  # after Ctrl-C too: the pool then waits for one piece of each body at most
    return [job.target for job in jobs]


def _fetch(
    job: Job,
    session: requests.Session,
    meter: "_Meter",
    stop: threading.Event,
    attempts: int,
    sleep: Callable[[float], object],
) -> Path:
    lock = job.target.with_name(job.target.name + ".part.lock")
    try:
        if not is_right(job):
            job.target.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(lock, timeout=0):
                try:
                    _persist(job, session, meter, stop, attempts, sleep)
                finally:
                    lock.unlink(missing_ok=True)
    except filelock.Timeout:
        raise job.error(f"another process is fetching {job.target}: wait for it, then run again") from None
    except OSError as error:
        raise job.error(
            f"{job.target} cannot be written ({error.strerror or error}): free space, or check the folder's rights, "
            f"and run again: {size_of(job.part)} bytes are kept and resumed"
        ) from None
    meter.finish(job)
    return job.target


def _persist(
    job: Job,
    session: requests.Session,
    meter: "_Meter",
    stop: threading.Event,
    attempts: int,
    sleep: Callable[[float], object],
) -> None:
    failures, furthest = 0, size_of(job.part)
    while not stop.is_set():
        try:
            return attempt(job, session, stop, lambda have, total: meter.place(job, have, total))
        except Again as again:
            have = size_of(job.part)
            failures = 1 if have > furthest else failures + 1
            furthest = max(furthest, have)
            if failures >= attempts:
                kept = f" ({have} bytes are kept and resumed)" if have else ""
                raise job.error(
                    f"{again}, {failures} times: check the network and HTTPS_PROXY and run again{kept}; or use a "
                    f"folder you have with data.roots.{job.label} and --offline"
                ) from None
            sleep(2.0 ** (failures - 1) if again.wait is None else again.wait)
    raise Stopped


def _check_space_for_all(jobs: Sequence[Job]) -> None:
    need = sum(job.size - size_of(job.part) for job in jobs if job.size and not job.target.exists())
    folder = jobs[0].target.parent
    while not folder.exists():
        folder = folder.parent
    check_space(jobs[0], folder, need)


class _Meter:
    """Bytes and files of a download, with rate and time left: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, label: str, files: int) -> None:
        self._label, self._files, self._finished, self._received = label, files, 0, 0
        self._have: dict[Path, int] = {}
        self._totals: dict[Path, int] = {}
        self._lock = threading.Lock()
        self._began = self._spoke = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(label, total=None, text="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def place(self, job: Job, have: int, total: int | None) -> None:
        """`have` bytes of a file are here; what was here before the first call does not count for the rate."""
        with self._lock:
            self._received += max(0, have - self._have.get(job.target, have))
            self._have[job.target] = have
            if total:
                self._totals[job.target] = total
            self._show()

    def finish(self, job: Job) -> None:
        """The file is here, whether fetched now or earlier."""
        with self._lock:
            self._finished += 1
            self._have[job.target] = self._totals[job.target] = size_of(job.target)
            self._show()

    def _show(self) -> None:
        now = time.monotonic()
        have, rate = sum(self._have.values()), self._received / max(now - self._began, 1e-9)
        text = f"{self._finished}/{self._files} files, {have / _MIB:.1f} MiB"
        whole = None
        if self._totals:  # files whose size is not known yet count as an average one
            whole = sum(self._totals.values()) / len(self._totals) * self._files
            text += f" of {whole / _MIB:.1f}"
        if rate:
            text += f", {rate / _MIB:.1f} MiB/s"
        if rate and whole:
            text += f", {timedelta(seconds=int(max(whole - have, 0) / rate))} left"
        if self._bar:
            self._bar.update(self._task, completed=have, total=whole, text=text)
        elif now - self._spoke >= _LINE_EVERY or (self._finished == self._files and self._received):
            self._spoke = now
            print(f"{self._label}: {text}", file=sys.stderr, flush=True)
