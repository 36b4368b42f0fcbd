"""MLflow: one flat run per trained cell, found again by the key of what determines it.

A server that cannot be reached costs one warning: the work goes on, its curves are on disk, and
`blindsr runs sync` publishes them later. MLflow takes three seconds to import, so only an opened run does it.
"""

import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from blindsr import paths
from blindsr.errors import Interrupted

EXPERIMENT = "blindsr"
_KEY_TAG = "blindsr.run"
_FLUSH_EVERY = 10.0  # seconds
_HOURS = "train_hours"
_BATCH = 1000  # metrics that MLflow takes in one request
_PARAM_LENGTH = 500
_log = logging.getLogger(__name__)


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the project's root, shared by all experiments."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.project_root() / 'mlflow.db'}"


class Run:
    """Metrics of one cell, buffered; `step` is the iteration."""

    def __init__(
        self,
        client: Any,
        run_id: str,
        last_step: int = -1,
        known: Mapping[str, float] | None = None,
        ended: int | None = None,
    ) -> None:
        """Use `open_run`. Steps up to `last_step` and the `known` scores are there and are not sent again.

        `ended` is when the run was finished before (ms since 1970): its duration stays that of the training, whenever
        scores are added to it.
        """
        self._client, self._id, self._last_step, self._known = client, run_id, last_step, known or {}
        self._ended = ended
        self._buffer: list[Any] = []
        self._flushed = time.monotonic()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log values at a step; a step of a curve that is already there is not logged twice."""
        if self._client is None or step <= self._last_step:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._buffer += [Metric(key, float(value), now, step) for key, value in values.items()]
        if time.monotonic() - self._flushed >= _FLUSH_EVERY:
            self.flush()

    def stopwatch(self) -> Callable[[], dict[str, float]]:
        """Gives {"train_hours": hours since now, on top of those that the run has from before it was interrupted}."""
        begun, before = time.monotonic(), self._known.get(_HOURS, 0.0)
        return lambda: {_HOURS: before + (time.monotonic() - begun) / 3600}

    def summary(self, values: Mapping[str, float]) -> None:
        """Log final scores, such as psnr_db per benchmark and case (step 0)."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = {key.replace("+", "-"): float(value) for key, value in values.items()}  # MLflow takes no plus sign
        self._buffer += [Metric(key, value, now, 0) for key, value in named.items() if self._known.get(key) != value]

    def artifacts(self, folder: Path) -> None:
        """Store a folder of files, such as the tables, with the run."""
        if self._client is not None:
            self._try(lambda: self._client.log_artifacts(self._id, str(folder), folder.name))

    def flush(self) -> None:
        """Send what is buffered, each step's values in one request: a killed process leaves no half of a point."""
        while self._client is not None and self._buffer:
            size = min(_BATCH, len(self._buffer))
            while 0 < size < len(self._buffer) and self._buffer[size - 1].step == self._buffer[size].step:
                size -= 1
            size = size or _BATCH  # the final scores are all of one step
            batch, self._buffer = self._buffer[:size], self._buffer[size:]
            self._try(partial(self._client.log_batch, self._id, metrics=batch))
        self._flushed = time.monotonic()

    def close(self, status: str) -> None:
        """Flush, and set the run's status: FINISHED, FAILED or KILLED."""
        self.flush()
        if self._client is not None:
            ended = self._ended if status == "FINISHED" else None
            self._try(lambda: self._client.set_terminated(self._id, status, ended))

    def _try(self, call: Any) -> None:
        try:
            call()
        except Exception as error:  # any failure of tracking must not end hours of training
            _warn(error)
            self._client = None


@contextmanager
def open_run(
    name: str, key: str, params: Mapping[str, Any], tags: Mapping[str, str] | None = None, *, on: bool = True
) -> Iterator[Run]:
    """The run with this key, made if it is not there; `params` are flat. Never raises for MLflow's sake.

    With `on` false, which is for all but one of the processes that train together, nothing is tracked.
    """
    run = _open(name, key, params, tags or {}) if on else Run(None, "")
    try:
        yield run
    except BaseException as error:
        run.close("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit | Interrupted) else "FAILED")
        raise
    run.close("FINISHED")


def _open(name: str, key: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
    # short, and before the import that reads them: an unreachable server costs seconds, not minutes
    for variable, value in (
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "5"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ):
        os.environ.setdefault(variable, value)
    try:
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        lock = paths.project_root() / ".train_state" / "mlflow.lock"
        lock.parent.mkdir(exist_ok=True)
        with FileLock(lock):  # the first use of a new database by several processes at once breaks it
            client = MlflowClient(tracking_uri())
            experiment = _experiment(client)
            found = client.search_runs([experiment], f"tags.`{_KEY_TAG}` = '{key}'", max_results=1)
            if found:
                run_id = found[0].info.run_id
                history = client.get_metric_history(run_id, "l1")
                last_step = max((point.step for point in history), default=-1)
                ended = found[0].info.end_time if found[0].info.status == "FINISHED" else None
                return Run(client, run_id, last_step, found[0].data.metrics, ended)
            run_id = client.create_run(experiment, run_name=name, tags={_KEY_TAG: key}).info.run_id
        client.log_batch(
            run_id,
            params=[Param(key, str(value)[:_PARAM_LENGTH]) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in {**_experiment_tags(), **tags}.items()],
        )
        return Run(client, run_id)
    except Exception as error:  # as above
        _warn(error)
        return Run(None, "")


def _experiment(client: Any) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return str(found.experiment_id)
    local = tracking_uri().startswith("sqlite:")
    location = (paths.project_root() / "mlartifacts").as_uri() if local else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _experiment_tags() -> dict[str, str]:
    revision = os.environ.get("DVC_EXP_BASELINE_REV")
    if not revision:
        git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        revision = git.stdout.strip()
    return {"dvc.experiment": os.environ.get("DVC_EXP_NAME", ""), "git.revision": revision}


def _warn(error: Exception) -> None:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    _log.warning(
        "MLflow at %s does not answer (%s): going on without it; `blindsr runs sync` publishes the run later",
        tracking_uri(),
        reason,
    )
