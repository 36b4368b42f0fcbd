"""All runs of the grid side by side: one `dvc repro` each, on one GPU each.

    blindsr grid --plan           # what is to be done, and what it costs on this machine
    blindsr grid                  # a run at a time on each GPU
    blindsr grid --per-device 4   # four at a time on each: small networks leave most of a GPU idle
    blindsr grid --jobs 8         # without GPUs: eight at a time on the CPU

Afterwards `dvc repro` finds every run made, and writes the tables. DVC lets go of its lock while a stage's command
runs, so several `dvc repro` of different runs work at once; --wait-for-lock makes them wait for each other between
commands, where they would give up after three seconds.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch

from blindsr.apps import verify
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.model.network import build_regularizer
from blindsr.runtime import lifetime, packages, paths
from blindsr.runtime.errors import Interrupted, UserError
from blindsr.stages import train
from blindsr.training import checkpoint

_DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
UPSTREAM = ("patches", "degrade")
"""Stages that all runs need."""


class RunState(NamedTuple):
    """How far a run is: `changed` are its stages that DVC would run, `iteration` is that of a checkpoint or 0."""

    changed: tuple[str, ...]
    iteration: int

    @property
    def trained(self) -> bool:
        """Whether its weights are there and up to date."""
        return "train" not in self.changed

    def __str__(self) -> str:
        if not self.changed:
            return "done"
        if self.trained:
            return f"trained, without {', '.join(self.changed)}"
        return f"partial: iteration {self.iteration}" if self.iteration else "todo"


def states(params: Params) -> list[RunState]:
    """State of every run, in the order of the settings. Raises UserError if DVC cannot say, or is not installed."""
    packages.require("dvc", "`blindsr grid`")
    wanted = {run: stages(params, run) for run in params.runs}
    changed = stale([f"{stage}@{run}" for run, own in wanted.items() for stage in own])
    return [
        RunState(tuple(stage for stage in own if f"{stage}@{run}" in changed), _iteration(params, run))
        for run, own in wanted.items()
    ]


def stale(targets: Sequence[str]) -> set[str]:
    """Those of some stages that DVC would run. Raises UserError if it cannot say."""
    # of all: DVC takes most of a second for each that it is given by its name
    done = subprocess.run([*_DVC, "status", "--json"], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise UserError(f"`dvc status` failed: {' '.join(done.stderr.split())}")
    return set(json.loads(done.stdout)) & set(targets)


def _iteration(params: Params, run: Run) -> int:
    with contextlib.suppress(FileNotFoundError):  # no patches yet
        return checkpoint.newest_iteration(train.state_folder(params, run))
    return 0


def stages(params: Params, run: Run) -> tuple[str, ...]:
    """The stages of one run, in order; only some seeds are analysed."""
    return ("train", "evaluate", "analyse") if run in params.analysed else ("train", "evaluate")


def targets(params: Params, run: Run) -> list[str]:
    """The stages of one run as DVC names them, in order."""
    return [f"{stage}@{run}" for stage in stages(params, run)]


def command(targets: Sequence[str]) -> list[str]:
    """The `dvc repro` of stages whose upstream stages are made."""
    return [*_DVC, "repro", "--single-item", *targets]


def in_turn(params: Params) -> list[Run]:
    """Every run, in the order in which they are begun.

    Args:
        params: Settings of the project.

    Returns:
        The order of the settings; but where batches are kept, the first run of each seed and number of views, which
        makes the batches that others read, comes before those others: no two at a time should make the same ones.
    """
    if not params.runtime.keep_batches:
        return params.runs
    makers: dict[tuple[int, int], Run] = {}
    for run in params.runs:
        settings = params.reg.settings[run.reg]
        views = build_regularizer(run.reg, settings.hyper_for(run.backbone)).views
        makers.setdefault((run.seed, views), run)
    first = list(makers.values())
    return first + [run for run in params.runs if run not in first]


def unfinished(params: Params) -> dict[str, list[str]]:
    """Name -> stages of the runs with something left to do, after the stages before them have run.

    Raises UserError if one of those fails, or without DVC.
    """
    packages.require("dvc", "`blindsr grid`")
    verify.run(quick=True)
    if subprocess.run([*_DVC, "repro", *UPSTREAM], check=False).returncode:
        raise UserError(f"`dvc repro {' '.join(UPSTREAM)}` failed: see above")
    found = dict(zip(params.runs, states(params), strict=True))
    return {run.name: targets(params, run) for run in in_turn(params) if found[run].changed}


def slots(gpus: Sequence[str], jobs: int | None, per_device: int) -> list[str | None]:
    """Where each of the runs of one time runs: a GPU's name, or None for a machine without.

    Args:
        gpus: names of the GPUs to use, as CUDA_VISIBLE_DEVICES has them; empty without.
        jobs: runs at a time altogether; None: as many as fit, `per_device` on each GPU, or on the CPU.
        per_device: the most runs at a time on one GPU.

    Returns:
        One entry a run, the GPUs in turn: as few as possible share one.

    Raises:
        UserError: for more jobs than fit on the GPUs.
    """
    if not gpus:
        return [None] * (jobs or per_device)
    fitting = len(gpus) * per_device
    if jobs and jobs > fitting:
        raise UserError(
            f"--jobs {jobs}: {len(gpus)} GPUs take {fitting} runs at a time with --per-device {per_device}: "
            f"give --per-device {-(-jobs // len(gpus))}, or fewer jobs"
        )
    return [gpus[number % len(gpus)] for number in range(jobs or fitting)]


def run(params: Params, jobs: int | None = None, per_device: int = 1) -> None:
    """Run the unfinished runs side by side, as `slots` says; their output goes to log files.

    A run that fails does not stop the others. Ctrl-C and SIGTERM end each run after its step, with its state
    written. Raises UserError as `slots` does, and one that names the runs that failed, Interrupted after a signal.
    """
    places = slots(gpus(params), jobs, per_device)
    runs = unfinished(params)
    make(runs, places)
    print(f"{len(runs)} runs made, nothing is left: `dvc repro` writes the tables")


def make(
    groups: Mapping[str, Sequence[str]],
    places: Sequence[str | None],
    *,
    threads: int | None = None,
    say: Callable[[str, str], None] = lambda name, what: print(f"{name}: {what}", flush=True),
) -> None:
    """Have DVC make groups of stages side by side; those of a group one after the other.

    Args:
        groups: Name -> stages, which need nothing of each other's groups.
        places: As from `slots`.
        threads: Of PyTorch, in each; None leaves them as they are.
        say: Is told of each group by its name when it begins and how it ended, from any thread.

    Raises:
        UserError: that names what failed; the others are made all the same.
        Interrupted: after Ctrl-C or SIGTERM.
    """
    free: queue.Queue[str | None] = queue.Queue()
    for place in places:
        free.put(place)
    logs().mkdir(parents=True, exist_ok=True)
    work = _Work(free, logs(), {} if threads is None else {"OMP_NUM_THREADS": str(threads)}, say)
    before = {number: signal.signal(number, work.stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with ThreadPoolExecutor(len(places)) as pool:
            done = pool.map(work.do, groups, groups.values())
            failed = [name for name, well in zip(groups, done, strict=True) if not well]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if work.stopped:
        raise Interrupted("stopped: the same command resumes from here", work.stopped)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(groups)} runs failed: {', '.join(failed)}; their logs are in {logs()}"
        )


def logs() -> Path:
    """Folder of what runs say that are made side by side: NAME.log."""
    return paths.project_root() / ".train_state" / "grid"


class _Work:
    """Makes runs, and ends those that run when it is told to."""

    def __init__(
        self,
        free: "queue.Queue[str | None]",
        logs: Path,
        variables: Mapping[str, str],
        say: Callable[[str, str], None],
    ) -> None:
        self.stopped = 0
        self._free, self._logs, self._variables, self._say = free, logs, variables, say
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def do(self, run: str, targets: Sequence[str]) -> bool:
        """Whether the run is made."""
        gpu, began, log = self._free.get(), time.monotonic(), self._logs / f"{run}.log"
        environment = {**os.environ, **self._variables, **lifetime.started_here()}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        try:
            with log.open("wb") as output:
                with self._lock:
                    if self.stopped:
                        return False
                    # a session of its own: a Ctrl-C reaches the training through `stop`, once
                    self._running[run] = process = subprocess.Popen(
                        command(targets),
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        env=environment,
                        start_new_session=True,
                    )
                self._say(run, f"started on GPU {gpu}" if gpu else "started")
                status = process.wait()
        finally:
            self._running.pop(run, None)
            self._free.put(gpu)
        said = log.read_text("utf-8", "replace").splitlines()
        reason = next((line for line in said if line.startswith("error: ")), said[-1] if said else "")
        self._say(run, f"failed ({reason})" if status else f"made in {time.monotonic() - began:.0f} s")
        return status == 0

    def stop(self, number: int, frame: Any) -> None:
        """Handler of SIGINT and SIGTERM. DVC waits for its command on SIGINT, and would leave it alone on SIGTERM."""
        self.stopped = number
        for process in list(self._running.values()):
            os.killpg(process.pid, signal.SIGINT)


def gpus(params: Params) -> list[str]:
    """GPUs that runs may take, as CUDA_VISIBLE_DEVICES names them; none where the settings ask for another device."""
    if params.runtime.device in ("cpu", "mps"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return [str(number) for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
