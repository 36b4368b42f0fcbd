"""Part "speed": iterations/s and memory of every network's step, what feeds it, and several runs on one device."""

from typing import Any

from benchmarks.gpu_check import speed_tables
from benchmarks.gpu_check.children import messages, worker
from benchmarks.gpu_check.context import Context
from benchmarks.gpu_check.side_by_side import measure
from benchmarks.gpu_check.speed_tables import Result

Job = dict[str, Any]
_OTHERS = ("msrn", "rrdb", "swinir")
_SECONDS = 1.2  # that each step is timed
_REPEATED = 2  # equal failures after which a mode is not tried again


def run(context: Context, deadline: float) -> None:
    """Most valuable first; a failed job costs its own line."""
    results: list[Result] = []
    first, second, last = (_on_gpu if context.cuda else _on_cpu)(context)
    _jobs(context, first, deadline, results)
    for count in (2, 4) if context.cuda else (2,):
        measure(context, count, deadline)
    for batch in (second, *([job] for job in last)):  # compilations can take long: each may be cut off alone
        _jobs(context, batch, deadline, results)
    if not context.small:
        context.journal.table("speed", speed_tables.HOURS, speed_tables.hours(results))
        for line in [*speed_tables.shares(results), *speed_tables.targets(results)]:
            context.journal.line("speed", line)


def _on_gpu(context: Context) -> tuple[list[Job], list[Job], list[Job]]:
    headline = [_step(reg=reg) for reg in ("rff", "none", "dropout", "two_views")]
    eager = [_step(reg=reg, mode="eager") for reg in ("rff", "none")]
    feeding = [_feed(context, "loader", seconds=4.0, workers=min(8, max(1, context.cores - 2)), reg="rff")]
    feeding += [_feed(context, "synthesis", groups=6)]
    variants = [_step(reg="rff", **more) for more in ({"precision": "fp32"}, {"precision": "tf32"})]
    variants += [_step(reg="rff", channels_last=False), _step(reg="rff", free=True), _step(reg="linear")]
    others = [_step(backbone=name) for name in _OTHERS]
    others += [_step(backbone=name, reg=reg) for reg in ("rff", "dropout") for name in _OTHERS]
    others += [_step(backbone=name, mode="eager") for name in _OTHERS]
    compiled = [_step(reg="rff", mode=mode) for mode in ("compile+graph", "compile")]
    return headline + eager + feeding, variants + others, compiled


def _on_cpu(context: Context) -> tuple[list[Job], list[Job], list[Job]]:
    steps = [_step(reg=reg, precision="fp32", mode="eager") for reg in ("rff", "none", "dropout", "two_views")]
    steps += [_step(backbone=name, precision="fp32", mode="eager") for name in _OTHERS]
    for job in steps:
        job["seconds"] = 0.1
    feeding = [_feed(context, "loader", seconds=0.2, workers=0, reg="rff", precision="fp32", mode="eager")]
    return steps + feeding + [_feed(context, "synthesis", groups=1), _step(reg="rff")], [], []


def _step(**spec: Any) -> Job:
    return {"job": "step", "seconds": _SECONDS, **spec}


def _feed(context: Context, kind: str, **more: Any) -> Job:
    return {"job": kind, "store": context.prepared.get("store"), **more}


def _jobs(context: Context, jobs: list[Job], deadline: float, results: list[Result]) -> None:
    """Let workers do them; one that dies costs the job it was at, and the next one goes on behind it."""
    failures: dict[tuple[str, str], int] = {}
    left = []
    for job in jobs:
        if job["job"] != "step" and not job["store"]:
            context.journal.line("speed", f"{job['job']}: the store could not be prepared, see above", failed=True)
        else:
            left.append(job)
    while left:
        child = worker("jobs", jobs=left, small=context.small, deadline=deadline)
        for _, message in messages([child], deadline):
            job = left.pop(0)
            if "error" not in message:
                text = speed_tables.told(job, message["result"], context.small)
                context.journal.line("speed", text, job=job, result=message["result"])
                results.append((job, message["result"]))
                if job["job"] == "step":
                    context.journal.table("speed", speed_tables.STEPS, speed_tables.rows(results))
                continue
            expected = message["error"].endswith("needs a GPU") and not context.cuda
            context.journal.line("speed", f"{speed_tables.name(job)}: {message['error']}", failed=not expected)
            kind = (job.get("mode", "graph"), message["error"])
            failures[kind] = failures.get(kind, 0) + 1
        if left and child.problem() and not child.problem().startswith("stopped after"):
            context.journal.line("speed", f"{speed_tables.name(left.pop(0))}: {child.problem()}", failed=True)
        hopeless = [mode for (mode, _), count in failures.items() if count >= _REPEATED]
        if left and (child.cut or not child.problem()):
            names = ", ".join(map(speed_tables.name, left))
            context.journal.line("speed", f"not measured, out of time: {names}", failed=True)
            return
        for job in [job for job in left if job.get("mode", "graph") in hopeless and job["job"] == "step"]:
            context.journal.line("speed", f"{speed_tables.name(job)}: left out, its mode failed before", failed=True)
            left.remove(job)
