"""MLflow: one flat run per trained network, found again by the key of what determines it.

A server that cannot be reached costs one warning: the work continues, its curves are on disk, and
`blindsr runs sync` publishes them later. There, and wherever else a store was asked for by name, its failures are
UserErrors. MLflow takes three seconds to import, so only `connect` and an opened run do it; where it is not
installed, that is the one warning.
"""

import logging
import math
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from blindsr.runtime import packages, paths
from blindsr.runtime.errors import Interrupted, UserError

EXPERIMENT = "blindsr"
KEY_TAG = "blindsr.run"
_FLUSH_EVERY = 10.0  # seconds
_HOURS = "train_hours"
_IN_EVERY_POINT = "iteration"  # of a learning curve, whatever else it has
BATCH = 1000
"""Metrics that MLflow takes in one request."""
_PAGE = 1000  # runs that are asked for at a time
_PARAM_LENGTH = 500
_SCORE_ERROR = 1e-6  # of a mean of scores that were written with six decimals
_log = logging.getLogger(__name__)


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the project's root, shared by all experiments."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.project_root() / 'mlflow.db'}"


def shown(uri: str) -> str:
    """The address, or a text with addresses, without the passwords in it."""
    return re.sub(r"(://[^/@]*?):[^/@]*@", r"\1:***@", uri)


@contextmanager
def asked(uri: str) -> Iterator[None]:
    """Turn whatever fails inside of the block into a UserError of one line.

    Args:
        uri: Address of the store that is used there.

    Raises:
        UserError: that names the address, without a password.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of MLflow, SQLAlchemy, requests, or a database's driver
        raise UserError(
            f"MLflow at {shown(uri)} cannot be used ({_reason(error)}): check the address, and for a server that "
            "asks for a user MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        ) from None


def connect(uri: str, *, new: bool = False) -> Any:
    """Open a store; one that is not there costs its first call seconds, not minutes.

    Args:
        uri: An address with "://" in it, or "databricks".
        new: An SQLite file that is not there may be made.

    Returns:
        MLflow's client.

    Raises:
        UserError: for what is no address, for an SQLite file that is not there, and where MLflow is not installed.
    """
    if "://" not in uri and uri != "databricks":
        raise UserError(f"{uri} is no address of MLflow: give one such as http://mlflow.example.org:5000")
    file = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not new and not file.exists():
        raise UserError(f"{file} is not there: `dvc repro` records runs, `blindsr runs sync` those of a `dvc pull`")
    return _client(uri)


def runs(client: Any) -> Iterator[Any]:
    """Every run of this project's experiment, as MLflow's own entities, the oldest first."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    token: str | None = ""
    while experiment and token is not None:
        order = ["attributes.start_time ASC"]
        page = client.search_runs([experiment.experiment_id], "", max_results=_PAGE, order_by=order, page_token=token)
        yield from page
        token = page.token or None


def find(client: Any, experiment: str, key: str) -> Any:
    """The run with this key, or None."""
    found = client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
    return found[0] if found else None


def as_params(values: Mapping[str, Any]) -> list[Any]:
    """What `log_batch` takes as params."""
    from mlflow.entities import Param

    return [Param(key, str(value)[:_PARAM_LENGTH]) for key, value in values.items()]


class Run:
    """Metrics of one run, buffered; `step` is the iteration."""

    def __init__(
        self,
        client: Any,
        run_id: str,
        last_step: int = -1,
        known: Mapping[str, float] | None = None,
        *,
        store: str = "",
        required: bool = False,
        ended: int | None = None,
    ) -> None:
        """Use `open_run`. Steps up to `last_step` and the `known` scores are there and are not sent again.

        `store` is its address; where it is `required`, failures are raised. `ended` is when the run was finished
        before (ms since 1970): its duration stays that of the training, whenever scores are added to it.
        """
        self._client, self._id, self._last_step, self._known = client, run_id, last_step, known or {}
        self._store, self._required, self._ended = store, required, ended
        self._complete = ended is not None  # until something new is sent
        self._buffer: list[Any] = []
        self._flushed = time.monotonic()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log values at a step; a step of a curve that is already there is not logged twice.

        Args:
            step: Iteration.
            values: Numbers by their names.
        """
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
        news = {key: value for key, value in named.items() if not self._has(key, value)}
        self._buffer += [Metric(key, value, now, 0) for key, value in news.items()]

    def _has(self, score: str, value: float) -> bool:
        """Whether it is there, as exactly as the files of scores say it."""
        return score in self._known and math.isclose(self._known[score], value, rel_tol=0, abs_tol=_SCORE_ERROR)

    def artifacts(self, made: Path) -> None:
        """Store a file, or a folder of files such as the tables, with the run; nothing where there is none."""
        if self._client is not None and made.is_dir():
            self._try(lambda: self._client.log_artifacts(self._id, str(made), made.name))
        elif self._client is not None and made.is_file():
            self._try(lambda: self._client.log_artifact(self._id, str(made)))

    def flush(self) -> None:
        """Send what is buffered, each step's values in one request: a killed process leaves no half of a point."""
        while self._client is not None and self._buffer:
            size = min(BATCH, len(self._buffer))
            while 0 < size < len(self._buffer) and self._buffer[size - 1].step == self._buffer[size].step:
                size -= 1
            size = size or BATCH  # the final scores are all of one step
            batch, self._buffer = self._buffer[:size], self._buffer[size:]
            self._try(partial(self._client.log_batch, self._id, metrics=batch))
        self._flushed = time.monotonic()

    def close(self, status: str) -> None:
        """Flush, and set the run's status: FINISHED, FAILED or KILLED."""
        self.flush()
        if self._client is not None and not (self._complete and status == "FINISHED"):
            ended = self._ended if status == "FINISHED" else None
            self._try(lambda: self._client.set_terminated(self._id, status, ended))

    def _try(self, call: Any) -> None:
        self._complete = False
        try:
            if self._required:
                with asked(self._store):
                    call()
            else:
                call()
        except UserError:
            self._client = None
            raise
        except Exception as error:  # any failure of tracking must not end hours of training
            _warn(self._store, error)
            self._client = None


@contextmanager
def open_run(
    name: str,
    key: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
    *,
    on: bool = True,
    store: str | None = None,
) -> Iterator[Run]:
    """Track one run: found by its key, or made. Never raises for MLflow's sake, unless a store is asked for.

    The run ends FINISHED, KILLED (by a signal or an exit) or FAILED (by any other error), as the block does.

    Args:
        name: What the run is called there.
        key: Of all that determines it.
        params: Flat settings, of a run that is made.
        tags: Likewise.
        on: False tracks nothing: for all but one of the processes that train together.
        store: Address to use instead of `tracking_uri`; `on` does not count then.

    Yields:
        What takes metrics and files; it drops them where nothing is tracked.

    Raises:
        UserError: for whatever fails of a `store`.
    """
    if store is None:
        run = _open(name, key, params, tags or {}) if on else Run(None, "")
    else:
        with asked(store):
            run = _found_or_made(store, name, key, params, tags or {}, required=True)
    try:
        yield run
    except BaseException as error:
        run.close("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit | Interrupted) else "FAILED")
        raise
    run.close("FINISHED")


def _open(name: str, key: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
    store = tracking_uri()
    if not packages.installed("mlflow"):
        _log.warning("mlflow is not installed: runs are not tracked; `blindsr runs sync` publishes them later")
        return Run(None, "")
    try:
        return _found_or_made(store, name, key, params, tags, required=False)
    except Exception as error:  # as above
        _warn(store, error)
        return Run(None, "")


def _found_or_made(
    store: str, name: str, key: str, params: Mapping[str, Any], tags: Mapping[str, str], *, required: bool
) -> Run:
    lock = paths.project_root() / ".train_state" / "mlflow.lock"
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):  # the first use of a new database by several processes at once breaks it
        client = _client(store)
        experiment = experiment_id(client, store)
        found = find(client, experiment, key)
        if found:
            run_id = found.info.run_id
            history = client.get_metric_history(run_id, _IN_EVERY_POINT)
            last_step = max((point.step for point in history), default=-1)
            ended = found.info.end_time if found.info.status == "FINISHED" else None
            known = found.data.metrics
            return Run(client, run_id, last_step, known, store=store, required=required, ended=ended)
        run_id = client.create_run(experiment, run_name=name, tags={KEY_TAG: key}).info.run_id
    from mlflow.entities import RunTag

    marks = [RunTag(key, value) for key, value in {**_experiment_tags(), **tags}.items()]
    client.log_batch(run_id, params=as_params(params), tags=marks)
    return Run(client, run_id, store=store, required=required)


def _client(uri: str) -> Any:
    packages.require("mlflow", "`blindsr runs`")
    # short, and before the import that reads them: an unreachable server costs seconds, not minutes
    for variable, value in (
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "5"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
    ):
        os.environ.setdefault(variable, value)
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each of its own retries
    return MlflowClient(uri)


def experiment_id(client: Any, store: str) -> str:
    """This project's experiment at the address `store`, made if it is not there."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return str(found.experiment_id)
    location = (paths.project_root() / "mlartifacts").as_uri() if store.startswith("sqlite:") else None
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except Exception:  # another machine may just have made it
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            raise
        return str(found.experiment_id)


def _experiment_tags() -> dict[str, str]:
    revision = os.environ.get("DVC_EXP_BASELINE_REV")
    if not revision:
        git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        revision = git.stdout.strip()
    return {"dvc.experiment": os.environ.get("DVC_EXP_NAME", ""), "git.revision": revision}


def _warn(store: str, error: Exception) -> None:
    _log.warning(
        "MLflow at %s does not answer (%s): going on without it; `blindsr runs sync` publishes the run later",
        shown(store),
        _reason(error),
    )


def _reason(error: Exception) -> str:
    return shown(" ".join(str(error).split()))[:200] or type(error).__name__
