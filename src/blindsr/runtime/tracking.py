"""MLflow: one flat run per trained network, found again by the key of what determines it.

A server that cannot be reached costs one warning: the work continues, its curves are on disk, and
`blindsr runs sync` publishes them later. There, and wherever else a store was asked for by name, its failures are
UserErrors. MLflow takes three seconds to import, so only `connect` and an opened run do it; where it is not
installed, that is the one warning.
"""

import contextlib
import getpass
import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from blindsr.runtime import escaping, packages, privacy, running, tracking_artifacts, tracking_store
from blindsr.runtime.errors import Interrupted, UserError

_FLUSH_EVERY = 10.0  # seconds
_HOURS = "train_hours"
_IN_EVERY_POINT = "learning_rate"  # of a learning curve, whatever else it has
_STEP = "iteration"  # of a learning curve's point; MLflow has it as the step
BATCH = 1000
"""Metrics that MLflow takes in one request."""
_CONTEXT = "mlflow.data.context"
_SCORE_ERROR = 1e-6  # of a mean of scores that were written with six decimals
_log = logging.getLogger(__name__)


def as_params(values: Mapping[str, Any]) -> list[Any]:
    """What `log_batch` takes as params."""
    from mlflow.entities import Param

    return [Param(escaping.mlflow_key(key), escaping.mlflow_value(value)) for key, value in values.items()]


class DataSet(NamedTuple):
    """A data set that a run uses."""

    name: str
    digest: str
    """Hash of what is in it."""
    context: str
    """What for: "training" or "evaluation"."""


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
        settle: Callable[[], None] | None = None,
        alive: Any = None,
    ) -> None:
        """Use `open_run`. Steps up to `last_step` and the `known` scores are there and are not sent again.

        `store` is its address; where it is `required`, failures are raised. `ended` is when the run was finished
        before (ms since 1970): its duration stays that of the training, whenever scores are added to it. `settle` is
        called at the end. `alive`: the lock of `running.hold`.
        """
        self._alive = alive
        self._settle = settle
        self._client, self._id, self._last_step, self._known = client, run_id, last_step, known or {}
        self._store, self._required, self._ended = store, required, ended
        self._complete = ended is not None  # until something new is sent
        self._buffer: list[Any] = []
        self._flushed = time.monotonic()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log values at a step; a step of a curve that is already there is not logged twice.

        Args:
            step: Iteration.
            values: Numbers by their names. Those that are NaN or infinite are left out: not every store takes them.
        """
        if self._client is None or step <= self._last_step:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = {escaping.mlflow_key(key): float(value) for key, value in values.items() if key != _STEP}
        # MLflow's compare view draws the metric that was logged first; the learning rate ends at 0 and says nothing
        keys = sorted(named, key=lambda key: key == _IN_EVERY_POINT)
        self._buffer += [Metric(key, named[key], now, step) for key in keys if math.isfinite(named[key])]
        if time.monotonic() - self._flushed >= _FLUSH_EVERY:
            self.flush()

    def stopwatch(self) -> Callable[[], dict[str, float]]:
        """Gives {"train_hours": hours since now, on top of those that the run has from before it was interrupted}."""
        begun, before = time.monotonic(), self._known.get(_HOURS, 0.0)
        return lambda: {_HOURS: before + (time.monotonic() - begun) / 3600}

    def summary(self, values: Mapping[str, float]) -> None:
        """Log final scores, such as psnr_db per benchmark and case (step 0); what is not finite is left out."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = {escaping.mlflow_key(key): float(value) for key, value in values.items()}
        news = {key: value for key, value in named.items() if math.isfinite(value) and not self._has(key, value)}
        self._buffer += [Metric(key, value, now, 0) for key, value in news.items()]

    def _has(self, score: str, value: float) -> bool:
        """Whether it is there, as exactly as the files of scores say it."""
        return score in self._known and math.isclose(self._known[score], value, rel_tol=0, abs_tol=_SCORE_ERROR)

    def inputs(self, sets: Sequence[DataSet]) -> None:
        """Name the data sets of the run, with their hashes; those that it has are not named again.

        Args:
            sets: What it is trained or scored on.
        """
        if self._client is not None:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            inputs = [
                DatasetInput(Dataset(name, digest, "local", json.dumps({"set": name})), [InputTag(_CONTEXT, context)])
                for name, digest, context in sets
            ]
            self._try(lambda: self._client.log_inputs(self._id, inputs))

    def model(self, weights: Path, loader: str) -> None:
        """Log the weights as the run's model, unless it has one: `mlflow.pyfunc.load_model` gives what takes images.

        Args:
            weights: File of the weights.
            loader: Module that is installed where the model is loaded, with `_load_pyfunc(path)`.
        """
        if self._client is not None:
            self._try(lambda: tracking_artifacts.log_model(self._client, self._id, weights, loader))

    def artifacts(self, made: Path, folder: str | None = None) -> None:
        """Store a file, or a folder of files such as the tables, with the run; nothing where there is none.

        Args:
            made: The file or folder.
            folder: Of the run's artifacts, for a file; None: the top one.
        """
        if self._client is not None and made.is_dir():
            self._try(lambda: self._client.log_artifacts(self._id, str(made), made.name))
        elif self._client is not None and made.is_file():
            self._try(lambda: self._client.log_artifact(self._id, str(made), folder))

    def add_missing(self, made: Path, folder: str) -> None:
        """Store a file with the run, unless it has one of that name: as `artifacts`, for what comes later."""
        if self._client is not None and made.is_file():
            self._try(lambda: tracking_artifacts.log_missing(self._client, self._id, made, folder))

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
            if status == "KILLED" and self._ended is not None:
                status = "FINISHED"  # it was done before, and DVC restores what it made without running anything
            ended = self._ended if status == "FINISHED" else None
            self._try(lambda: self._client.set_terminated(self._id, status, ended))
        if self._client is not None and self._settle:
            self._try(self._settle)
        if self._alive is not None:
            running.release(self._alive)

    def _try(self, call: Any) -> None:
        self._complete = False
        try:
            if self._required:
                with tracking_store.asked(self._store):
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

    The run ends FINISHED, KILLED (by a signal or an exit) or FAILED (by any other error), as the block does. One that
    was finished before stays so when it is killed while it is made again.

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
        with tracking_store.asked(store):
            run = _found_or_made(store, name, key, params, tags or {}, required=True)
    try:
        yield run
    except BaseException as error:
        run.close("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit | Interrupted) else "FAILED")
        raise
    run.close("FINISHED")


def _open(name: str, key: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
    store = tracking_store.tracking_uri()
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
    # the first use of a new database by several processes at once breaks it
    with tracking_store.alone(store, tracking_store.RUN):
        client = tracking_store.client(store)
        experiment = tracking_store.experiment_id(client, store)
        settle = partial(tracking_store.settle, client, experiment, key)
        found = tracking_store.find(client, experiment, key)
        run_id = None if found else tracking_store.make(client, experiment, key, {}, run_name=name)
        if run_id is None:
            if not found and required:
                return Run(None, "")  # another machine publishes it
            found = found or tracking_store.find(client, experiment, key)
            run_id = found.info.run_id
            history = client.get_metric_history(run_id, _IN_EVERY_POINT)
            last_step = max((point.step for point in history), default=-1)
            ended = found.info.end_time if found.info.status == "FINISHED" else None
            known = found.data.metrics
            if found.info.status in ("KILLED", "FAILED"):  # and goes on now
                client.update_run(run_id, "RUNNING")
            return Run(
                client, run_id, last_step, known, store=store, required=required, ended=ended, settle=settle,
                alive=running.hold(run_id),
            )  # fmt: skip
        alive = running.hold(run_id)
    from mlflow.entities import RunTag

    marks = [RunTag(key, value) for key, value in {**_experiment_tags(), **tags}.items()]
    client.log_batch(run_id, params=as_params(params), tags=marks)
    return Run(client, run_id, store=store, required=required, settle=settle, alive=alive)


def _experiment_tags() -> dict[str, str]:
    revision = os.environ.get("DVC_EXP_BASELINE_REV")
    if not revision:
        revision = ""
        with contextlib.suppress(OSError):  # git need not be installed
            git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
            revision = git.stdout.strip()
    tags = {"dvc.experiment": os.environ.get("DVC_EXP_NAME", ""), "git.revision": revision}
    # what MLflow's own pages show as source, version and user
    tags |= {
        "mlflow.source.name": " ".join(["blindsr", *map(privacy.setting, sys.argv[1:])]),
        "mlflow.source.type": "LOCAL",
    }
    tags |= {"mlflow.source.git.commit": revision} if revision else {}
    with contextlib.suppress(OSError, KeyError, ImportError):  # a container may have no name for its user
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _warn(store: str, error: Exception) -> None:
    if isinstance(error, UserError):
        said = str(error)
    else:
        said = f"MLflow at {tracking_store.shown(store)} does not answer ({tracking_store.reason(error)})"
    _log.warning("%s; going on without it, `blindsr runs sync` publishes the run later", said)
