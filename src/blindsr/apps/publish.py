"""Runs of one MLflow store copied into another, such as a team's server: each once, with its whole history."""

import tempfile
from collections import Counter
from typing import Any

from blindsr.runtime import tracking, tracking_store

_SOURCE = ("mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit")
_OWN_TAGS = (
    "mlflow.user",
    "mlflow.note.content",
    *_SOURCE,
)  # of those that MLflow sets, what holds at another place, too


def copy(source: str, target: str) -> Counter[str]:
    """Copy every run of the store at `source` to the one at `target`; what is there already is not sent again.

    Returns how many runs were "new" there, "completed", or "there already".

    A run is known by its key, the hash of what determines it, so that one of a colleague with the same settings and
    data is the same run. What an interrupted copy left out is sent by the next. Raises UserError where either store
    cannot be used.
    """
    with tracking_store.asked(source):
        old = tracking_store.connect(source)
        runs = list(tracking_store.runs(old))
    counts: Counter[str] = Counter()
    with tracking_store.asked(target):
        with tracking_store.alone(target, tracking_store.RUN):
            new = tracking_store.connect(target, new=True)
            experiment = tracking_store.experiment_id(new, target)
        for run in runs:
            key = run.data.tags.get(tracking_store.KEY_TAG)
            if key is None:
                continue  # of a person, by hand
            counts[_copy(old, run, new, experiment, key, target)] += 1
            tracking_store.settle(new, experiment, key)
    return counts


def _copy(old: Any, run: Any, new: Any, experiment: str, key: str, target: str) -> str:
    """Copy one run; what `copy` counts it as."""
    with tracking_store.alone(target, tracking_store.RUN):
        there = tracking_store.find(new, experiment, key)
        made = None if there else _made(run, new, experiment, key)
    if not made and (there is None or _state(there) == _state(run)):
        return "there already"
    copied = there or new.get_run(made)
    try:
        _complete(old, run, new, copied)
    except Exception:
        if not tracking_store.is_deleted(new, copied.info.run_id):
            raise
        # of two machines that made it at once, one has just taken its own back: the other's stays
        return _copy(old, run, new, experiment, key, target)
    return "completed" if there else "new"


def _made(run: Any, new: Any, experiment: str, key: str) -> str | None:
    """Id of an empty copy; None if another machine has made one at the same time."""
    tags = {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.") or k in _OWN_TAGS}
    info = run.info
    made = tracking_store.make(new, experiment, key, tags, start_time=info.start_time, run_name=info.run_name)
    if made and run.inputs and run.inputs.dataset_inputs:
        new.log_inputs(made, run.inputs.dataset_inputs)
    return made


def _complete(old: Any, run: Any, new: Any, there: Any) -> None:
    """Send what a copy lacks; its end is set last, so that one which has it is complete."""
    run_id, params = there.info.run_id, there.data.params
    missing = {name: value for name, value in run.data.params.items() if name not in params}
    new.log_batch(run_id, params=tracking.as_params(missing))
    points = [point for name in run.data.metrics for point in _points(old, run, new, there, name)]
    for start in range(0, len(points), tracking.BATCH):
        new.log_batch(run_id, metrics=points[start : start + tracking.BATCH])
    for item in old.list_artifacts(run.info.run_id):
        with tempfile.TemporaryDirectory() as folder:
            path = old.download_artifacts(run.info.run_id, item.path, folder)
            if item.is_dir:
                new.log_artifacts(run_id, path, item.path)
            else:
                new.log_artifact(run_id, path)
    if run.info.status != "RUNNING":
        new.set_terminated(run_id, run.info.status, run.info.end_time)


def _state(run: Any) -> tuple[Any, ...]:
    """What two complete copies of a run have in common; values by their text, which NaN has, too."""
    metrics = {name: repr(value) for name, value in run.data.metrics.items()}
    return run.info.status, run.info.end_time, run.data.params, metrics


def _points(old: Any, run: Any, new: Any, there: Any, name: str) -> list[Any]:
    """The points of a metric that the copy lacks: steps it does not have, and a last value that is another."""
    history = old.get_metric_history(run.info.run_id, name)
    if name not in there.data.metrics:
        return list(history)
    steps = {point.step for point in new.get_metric_history(there.info.run_id, name)}
    points = [point for point in history if point.step not in steps]
    last = max(history, key=lambda point: (point.step, point.timestamp))
    if last.step in steps and repr(there.data.metrics[name]) != repr(run.data.metrics[name]):
        points.append(last)
    return points
