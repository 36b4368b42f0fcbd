"""Runs in MLflow: made complete from recorded files, published to a team's server, written as one table, shown."""

import datetime
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from blindsr.analysis.training_cost import Cost
from blindsr.apps import publish
from blindsr.config.described import described
from blindsr.config.params import Params
from blindsr.config.run import CONTROLS, Run
from blindsr.evaluation import benchmarks
from blindsr.model import weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import files, packages, paths, recorded, running, tracking, tracking_store
from blindsr.runtime.errors import UserError

Row = TypeVar("Row")


def sync(params: Params, uri: str | None = None) -> None:
    """Publish all runs to the MLflow at `uri`, or where they are tracked; what is there is not sent again.

    Two sources make it complete: the project's own store, with the runs of all experiments, if the target is
    another one; and the recorded curves, scores and tables of the runs that the settings name now, which are here
    after a `dvc pull`, too. Raises UserError where MLflow cannot be used.
    """
    packages.require("mlflow", "`blindsr runs`")
    target = uri or tracking_store.tracking_uri()
    with tracking_store.alone(target, tracking_store.SYNC):
        _sync(params, target)


def _sync(params: Params, target: str) -> None:
    from blindsr.stages import report

    own = tracking_store.own()
    if target != own and (paths.project_root() / "mlflow.db").exists():
        counts = [f"{number} {what}" for what, number in sorted(publish.copy(own, target).items())]
        print(", ".join(counts) or "no runs in mlflow.db")
    for run in params.runs:
        _sync_run(params, run, target)
    _sync_controls(params, target)
    if paths.METRICS.exists():
        report.publish(params, target)
    print(f"all in {tracking_store.shown(target)}")


def _sync_run(params: Params, run: Run, target: str) -> None:
    from blindsr.stages import train

    weights = paths.MODELS / f"{run}.safetensors"
    if not weights.exists():
        print(f"{run}: not trained yet, left out")
        return
    _, info = weight_files.load(weights, trust=True)
    settings = _described(params, run, info)
    curve = _rows(paths.CURVES / f"{run}.csv", _point)
    costs = _rows(paths.ANALYSIS / run.name / "cost.csv", _costs)
    scores = _means(run.name)
    with tracking.open_run(run.name, info.run, settings, store=target) as tracked:
        for step, values in curve:
            tracked.metrics(step, values)
        for totals in costs:
            tracked.summary(totals)
        tracked.summary(scores)
        tracked.add_missing(paths.CURVES / f"{run}.csv", "curves")
        tracked.add_missing(paths.SCORES / f"{run}.csv", "scores")
        tracked.model(weights, train.LOADER)


def recorded_curves(params: Params) -> Iterator[tuple[str, str, list[tuple[int, dict[str, float]]]]]:
    """Of each run that is here with its curve: its name, its key in MLflow, and (iteration, values) of the points.

    Raises UserError for damaged files.
    """
    for run in params.runs:
        weights, curve = paths.MODELS / f"{run}.safetensors", paths.CURVES / f"{run}.csv"
        if weights.exists() and curve.exists():
            _, info = weight_files.load(weights)
            yield run.name, info.run, _rows(curve, _point)


def _point(row: dict[str, str]) -> tuple[int, dict[str, float]]:
    return int(row["iteration"]), {name: float(value) for name, value in row.items() if value}


def _costs(row: dict[str, str]) -> dict[str, float]:
    numbers = {name: int(value) for name, value in row.items()}
    iterations = numbers.pop("iterations")
    return Cost(**numbers).totals(iterations)


def _described(params: Params, run: Run, info: WeightsInfo) -> dict[str, Any]:
    """What the train stage tracks of a run; without the settings of training where they are others now."""
    from blindsr.stages import train

    own = {"backbone": run.backbone, "reg": run.reg, "seed": run.seed}
    try:
        same = train.run_key(params, run) == info.run
    except (OSError, UserError):  # no data/patches here, or not the weights that the training started from
        same = False
    if not same:
        return own
    return described(params, run)


def _sync_controls(params: Params, target: str) -> None:
    for name in CONTROLS:
        scores = _means(name)
        if scores:
            named = {"profile": params.profile}
            with tracking.open_run(name, f"{name}-{params.profile}", named, store=target) as run:
                run.summary(scores)
                run.add_missing(paths.SCORES / f"{name}.csv", "scores")


def _means(name: str) -> dict[str, float]:
    scores = paths.SCORES / f"{name}.csv"
    return benchmarks.means(benchmarks.read_csv(scores)) if scores.exists() else {}


def _rows(path: Path, parse: Callable[[dict[str, str]], Row]) -> list[Row]:
    """The rows of a recorded file; none where there is no file."""
    recorded.require(path)
    try:
        return [parse(row) for row in files.read_csv(path)] if path.exists() else []
    except (KeyError, ValueError, TypeError):
        raise UserError(f"{path} is damaged: delete it and run `dvc repro`") from None


def export(out: Path, uri: str | None = None) -> None:
    """Write a CSV with a row per run of the MLflow at `uri`, or where runs are tracked, the oldest first.

    Columns: run, status, start (UTC), seconds (empty while it runs), then params.*, metrics.* (the last value of
    each) and tags.* by their names; what a run does not have stays empty. Raises UserError where MLflow cannot be
    used, and if it has no run.
    """
    target = uri or tracking_store.tracking_uri()
    with tracking_store.asked(target):
        client = tracking_store.connect(target)
        running.mark_killed(client, target)
        rows = [_row(run) for run in tracking_store.runs(client)]
    if not rows:
        shown = tracking_store.shown(target)
        raise UserError(f"no runs in {shown}: `dvc repro` makes some, `blindsr runs sync` publishes")
    columns = _columns(rows)
    files.write_csv(out, columns, [[row.get(column, "") for column in columns] for row in rows])
    print(f"{len(rows)} runs: {out}")


def _row(run: Any) -> dict[str, Any]:
    info, data = run.info, run.data
    start = datetime.datetime.fromtimestamp(info.start_time / 1000, datetime.UTC)
    row: dict[str, Any] = {
        "run": info.run_name,
        "status": info.status,
        "start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round((info.end_time - info.start_time) / 1000, 1) if info.end_time else "",
    }
    tags = {name: value for name, value in data.tags.items() if not name.startswith("mlflow.")}
    for kind, values in (("params", data.params), ("metrics", data.metrics), ("tags", tags)):
        row |= {f"{kind}.{name}": value for name, value in values.items()}
    return row


def _columns(rows: Iterable[dict[str, Any]]) -> list[str]:
    fixed = ["run", "status", "start", "seconds"]
    kinds = ["params", "metrics", "tags"]
    rest = {name for row in rows for name in row}.difference(fixed)
    return fixed + sorted(rest, key=lambda name: (kinds.index(name.split(".")[0]), name))


def ui(port: int) -> None:
    """Run `mlflow ui` on the database of the runs until Ctrl-C.

    Args:
        port: On this machine, where the pages are.

    Raises:
        UserError: if the runs are on a server, there are none, the port is taken, or MLflow is not installed.
    """
    uri = tracking_store.tracking_uri()
    if uri.startswith("http"):
        raise UserError(f"the runs are on a server: open {tracking_store.shown(uri)} in a browser")
    packages.require("mlflow", "`blindsr runs ui`")
    _require_free(port)
    with tracking_store.asked(uri):
        client = tracking_store.connect(uri)
        experiment = tracking_store.experiment_id(client, uri)
        running.mark_killed(client, uri)
    print(f"open {_runs_page(port, experiment)} in a browser; Ctrl-C ends it", flush=True)
    tracking_store.serve(uri, port)


def _runs_page(port: int, experiment: str) -> str:
    """The address of the runs; without the type, menus of language models are around them."""
    return f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def _require_free(port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        raise UserError(f"port {port} cannot be used ({error.strerror}): give another one with --port") from None
