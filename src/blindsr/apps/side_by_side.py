"""What `blindsr repro` has DVC make at the same time: the runs of the grid and the controls, which need no other."""

from collections.abc import Callable, Sequence

from blindsr.apps import grid
from blindsr.config.params import Params
from blindsr.config.run import CONTROLS
from blindsr.runtime import parallel
from blindsr.runtime.progress import Bar

_MOST = 4  # runs at a time on a CPU: each takes a gigabyte of memory, and a laptop has eight


def places(params: Params) -> list[str | None]:
    """Where runs may run at one time: on each GPU one, or on cores of the CPU; as `grid.slots` gives them."""
    gpus = grid.gpus(params)
    return grid.slots(gpus, None, 1) if gpus else [None] * min(parallel.usable_cores(), _MOST)


def make(
    params: Params,
    where: Sequence[str | None],
    before: Callable[[Sequence[str]], int],
    done: Callable[[str], None],
) -> int:
    """Make what DVC has to make of all runs and controls.

    Nothing happens where that is less than two of them: one has the machine to itself.

    Args:
        params: Settings of the project.
        where: As from `places`.
        before: Makes the stages that they need, which it is given; its exit status.
        done: Is told what DVC said while it made one of them.

    Returns:
        The exit status of what comes before.

    Raises:
        UserError: that names what failed; the others are made all the same.
        Interrupted: after Ctrl-C or SIGTERM.
    """
    groups = {run.name: grid.targets(params, run) for run in grid.in_turn(params)}
    groups |= {name: [f"evaluate_control@{name}"] for name in CONTROLS}  # short: they come last
    targets = [target for own in groups.values() for target in own]
    stale = grid.stale(["fetch", *grid.UPSTREAM, *targets])
    if len(_todo(groups, stale)) < 2:
        return 0
    if stale - set(targets):
        if status := before(grid.UPSTREAM):
            return status
        stale = grid.stale(targets)
    todo = _todo(groups, stale)
    count = min(len(where), len(todo))
    threads = None if where[0] is not None else max(1, parallel.usable_cores() // max(1, count))
    print(f"{len(todo)} runs, {count} at a time; what each says is in {grid.logs()}", flush=True)
    with Bar("runs", len(todo)) as bar:

        def say(name: str, what: str) -> None:
            if what.startswith("made"):
                bar.advance(note=name)
                done((grid.logs() / f"{name}.log").read_text("utf-8", "replace"))
            elif what.startswith("failed"):
                bar.say(f"{name}: {what}")

        grid.make(todo, where[:count], threads=threads, say=say)
    return 0


def _todo(groups: dict[str, list[str]], stale: set[str]) -> dict[str, list[str]]:
    """Those with something to make: whole, since what comes after a stale stage is stale once that has run."""
    return {name: own for name, own in groups.items() if stale & set(own)}
