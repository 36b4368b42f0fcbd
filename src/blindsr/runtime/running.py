"""Runs in MLflow whose process is gone: one that was killed cannot say so, and would be RUNNING for ever.

The process of a run holds a lock on a file, which the system takes from it however it ends.
"""

from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from blindsr.runtime import paths, tracking_store


def hold(run_id: str) -> FileLock | None:
    """Say that this process works on a run, until the lock is released or the process ends.

    Args:
        run_id: Of MLflow.

    Returns:
        The lock; None if another process has it.
    """
    lock = _lock(run_id)
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def release(lock: FileLock) -> None:
    """The work of `hold` is done."""
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def mark_killed(client: Any, store: str) -> int:
    """End the runs as KILLED whose process on this machine is gone, at the time of their last value.

    Runs without a lock are those of other machines, but for the project's own store: there the process was one of
    a version that had no locks.

    Args:
        client: Of MLflow.
        store: Its address.

    Returns:
        How many there were.
    """
    experiment = client.get_experiment_by_name(tracking_store.EXPERIMENT)
    if experiment is None:
        return 0
    marked = 0
    with tracking_store.alone(store, tracking_store.RUN):  # no process is about to take one of the locks
        for run in client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'", max_results=1000):
            run_id = run.info.run_id
            if store != tracking_store.own() and not Path(_lock(run_id).lock_file).exists():
                continue
            lock = hold(run_id)
            if lock is None:
                continue
            try:
                client.set_terminated(run_id, "KILLED", _last_said(client, run))
                marked += 1
            finally:
                release(lock)
    return marked


def _lock(run_id: str) -> FileLock:
    return FileLock(paths.project_root() / ".train_state" / "running" / f"{run_id}.lock")


def _last_said(client: Any, run: Any) -> int:
    """When a run logged its last value, in ms since 1970; when it began, if it has none."""
    times = [
        point.timestamp for name in run.data.metrics for point in client.get_metric_history(run.info.run_id, name)
    ]
    return max(times, default=int(run.info.start_time))
