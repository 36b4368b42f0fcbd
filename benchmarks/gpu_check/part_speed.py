"""Part "speed": iterations/s and memory of every network's step, what feeds it, and several runs on one device."""

from collections import Counter
from typing import Any

from benchmarks.gpu_check import speed_tables
from benchmarks.gpu_check.children import messages, worker
from benchmarks.gpu_check.context import Context
from benchmarks.gpu_check.side_by_side import measure
from benchmarks.gpu_check.speed_tables import Result

Job = dict[str, Any]
_OTHERS = ("msrn", "rrdb", "swinir")
_SECONDS = 1.2  # that each step is timed
_REPEATED = 2  # equal failures after which a mode that never worked is not tried again


def run(context: Context, deadline: float) -> None:
    """Most valuable first; a failed job costs its own line."""
    bench = _Bench(context, deadline)
    first, second, last = (_on_gpu if context.cuda else _on_cpu)(context)
    bench.do(first)
    for count in (2, 4) if context.cuda else (2,):
        measure(context, count, deadline)
    for jobs in (second, *([job] for job in last)):  # compilations can take long: each may be cut off alone
        bench.do(jobs)
    if not context.small:
        context.journal.table("speed", speed_tables.HOURS, speed_tables.hours(bench.results))
        for line in [*speed_tables.shares(bench.results), *speed_tables.targets(bench.results)]:
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
    compiled = [_step(reg=reg, mode="compile+graph") for reg in ("rff", "none")] + [_step(reg="rff", mode="compile")]
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


class _Bench:
    """Lets workers do jobs; one that dies costs the job it was at, and the next one goes on behind it."""

    def __init__(self, context: Context, deadline: float) -> None:
        self.results: list[Result] = []
        self._context, self._deadline = context, deadline
        self._failures: Counter[tuple[str, str]] = Counter()  # of steps, by mode and reason

    def do(self, jobs: list[Job]) -> None:
        """All of them, in order."""
        left = []
        for job in jobs:
            if job["job"] != "step" and not job["store"]:
                self._fail(job, "the store could not be prepared, see above")
            else:
                left.append(job)
        while left := self._promising(left):
            settings = {"small": self._context.small, "deadline": self._deadline}
            child, stopped = worker("jobs", jobs=left, **settings), False
            for _, message in messages([child], self._deadline):
                if "stopped" in message:  # after a failed CUDA call, which it has told
                    stopped = True
                else:
                    self._note(left.pop(0), message)
            if left and child.cut:
                names = ", ".join(map(speed_tables.name, left))
                self._context.journal.line("speed", f"not measured, out of time: {names}", failed=True)
                return
            if left and not stopped:
                self._fail(left.pop(0), child.problem() or "the worker ended")

    def _note(self, job: Job, message: dict[str, Any]) -> None:
        if "error" in message:
            self._fail(job, message["error"])
            return
        result = message["result"]
        text = speed_tables.told(job, result, self._context.small)
        self._context.journal.line("speed", text, job=job, result=result)
        self.results.append((job, result))
        if job["job"] == "step":
            self._context.journal.table("speed", speed_tables.STEPS, speed_tables.rows(self.results))

    def _fail(self, job: Job, reason: str) -> None:
        expected = reason.endswith("needs a GPU") and not self._context.cuda
        self._context.journal.line("speed", f"{speed_tables.name(job)}: {reason}", failed=not expected)
        if job["job"] == "step":
            self._failures[speed_tables.mode(job), reason] += 1

    def _promising(self, jobs: list[Job]) -> list[Job]:
        """Without the steps of a mode that has failed twice for one reason and never worked."""
        worked = {speed_tables.mode(job) for job, _ in self.results if job["job"] == "step"}
        hopeless = {mode for (mode, _), count in self._failures.items() if count >= _REPEATED} - worked
        kept = [job for job in jobs if job["job"] != "step" or speed_tables.mode(job) not in hopeless]
        if len(kept) < len(jobs):
            names = ", ".join(speed_tables.name(job) for job in jobs if job not in kept)
            self._context.journal.line("speed", f"left out, since their mode fails: {names}", failed=True)
        return kept
