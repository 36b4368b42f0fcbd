"""The runs that train now, on one screen, from the MLflow that they write to: how far, how fast, and how good."""

import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from blindsr.runtime import escaping, running, tracking_store
from blindsr.runtime.errors import UserError

_EVERY = 5.0  # seconds; a run sends what it has every few seconds
_COLUMNS = {"l1": "L1", "psnr_db_training": "PSNR\nseen", "detail_cosine_training": "cosine\nseen"}
_SHOWN_ENDED = 5
_SILENT = 300.0  # seconds


class Now(NamedTuple):
    """A run as it stands."""

    name: str
    state: str
    iteration: int
    total: int | None
    """Iterations in all; None where the run does not say it."""
    per_second: float | None
    values: dict[str, float]
    silent: float = 0.0
    """Seconds since it last said anything."""


def run(uri: str | None = None, *, once: bool = False, wait: Callable[[float], None] = time.sleep) -> None:
    """Show the runs that train until none does, or Ctrl-C; then the last that ended.

    Args:
        uri: Of the MLflow store; None: where runs are tracked.
        once: Print one table, and end.
        wait: Waits so many seconds.

    Raises:
        UserError: where the store cannot be read, or has no run.
    """
    target = uri or tracking_store.tracking_uri()
    with tracking_store.asked(target):
        client = tracking_store.connect(target)
        running.mark_killed(client, target)
        found = state(client)
        if not found:
            raise UserError(f"no runs in {tracking_store.shown(target)}: `dvc repro` makes some")
        console = Console()
        if once or not sys.stdout.isatty() or not any(one.state == "RUNNING" for one in found):
            console.print(table(found))
            return
        with Live(table(found), console=console, auto_refresh=False) as live:
            while any(one.state == "RUNNING" for one in found):
                wait(_EVERY)
                running.mark_killed(client, target)
                found = state(client)
                live.update(table(found), refresh=True)


def state(client: Any) -> list[Now]:
    """All runs that train, and the last that ended, with what they measured last.

    Args:
        client: Of MLflow.
    """
    trained = [one for one in tracking_store.runs(client) if "train.iterations" in one.data.params]
    going = [one for one in trained if one.info.status == "RUNNING"]
    ended = sorted((one for one in trained if one not in going), key=lambda one: one.info.end_time or 0)
    return [_now(client, one) for one in [*ended[-_SHOWN_ENDED:], *going]]


def _now(client: Any, found: Any) -> Now:
    values = {name: float(value) for name, value in found.data.metrics.items()}
    points = client.get_metric_history(found.info.run_id, "l1") if "l1" in values else []
    total = found.data.params.get("train.iterations", "")
    return Now(
        name=str(found.info.run_name),
        state=str(found.info.status),
        iteration=max((point.step for point in points), default=0),
        total=int(total) if total.isdecimal() else None,
        per_second=pace([(point.step, point.timestamp / 1000) for point in points]),
        values=values,
        silent=max(0.0, time.time() - max(point.timestamp for point in points) / 1000) if points else 0.0,
    )


def pace(points: Sequence[tuple[int, float]]) -> float | None:
    """Iterations a second over the last points of a curve; None of fewer than two.

    Args:
        points: Step, and when it was measured, in seconds.
    """
    last = sorted(points)[-10:]
    if len(last) < 2 or last[-1][1] <= last[0][1]:
        return None
    return (last[-1][0] - last[0][0]) / (last[-1][1] - last[0][1])


def table(found: Sequence[Now]) -> Table:
    """The screen.

    Args:
        found: Of `state`.
    """
    shown = Table()
    shown.add_column("run", no_wrap=True)
    names = ("iteration", "left", *_COLUMNS.values(), "PSNR\nunseen")
    for name in names:
        shown.add_column(name, justify="right", no_wrap=True)
    for one in found:
        values = [_number(one.values.get(name)) for name in _COLUMNS]
        shown.add_row(escaping.terminal(one.name), _progress(one), _left(one), *values, _number(_unseen(one.values)))
    return shown


def _progress(one: Now) -> str:
    if one.total is None:
        return str(one.iteration)
    return f"{one.iteration}/{one.total}"


def _left(one: Now) -> str:
    if one.state != "RUNNING":
        return one.state.lower()
    if one.silent > _SILENT:  # it may have been killed, which MLflow does not know
        return f"silent {one.silent / 60:.0f} min"
    if not one.per_second or one.total is None:
        return ""
    seconds = (one.total - one.iteration) / one.per_second
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.0f} min"


def _unseen(values: dict[str, float]) -> float | None:
    """Mean PSNR of the test cases that training watches."""
    own = [value for name, value in values.items() if re.fullmatch(r"psnr_db_(?!training$|mean$)[^/]+", name)]
    return sum(own) / len(own) if own else None


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.3f}"
