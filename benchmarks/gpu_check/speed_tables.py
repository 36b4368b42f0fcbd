"""Results of part "speed" in words and as tables."""

from collections.abc import Sequence
from typing import Any

from benchmarks.gpu_check.journal import Cell
from benchmarks.gpu_check.spec import Spec

Result = tuple[dict[str, Any], dict[str, Any]]
"""A job, and what was measured."""
STEPS = "Training steps on one batch"
HOURS = "GPU-hours of the paper's 500k iterations, of the steps alone (bf16, recorded)"
_ITERATIONS = 500_000
_BASES = {"rff": ("two_views", "none"), "linear": ("two_views", "none"), "dropout": ("none",)}


def name(job: dict[str, Any]) -> str:
    """A job in words."""
    if job["job"] == "synthesis":
        return "synthesis"
    return f"{'' if job['job'] == 'step' else job['job'] + ' '}{_spec(job)}"


def mode(job: dict[str, Any]) -> str:
    """How the step of a job runs."""
    return _spec(job).mode


def told(job: dict[str, Any], result: dict[str, Any], small: bool) -> str:
    """A result in one line."""
    if job["job"] == "synthesis":
        device = "" if result["device_ms"] is None else f", {result['device_ms']:.3g} ms on the device"
        parts = [
            f"synthesis alone: {result['batches_per_second']:.4g} batches/s ({result['together']} at once)",
            f"of a batch {result['read_ms']:.3g} ms to read and draw on one core",
            f"{result['launch_ms']:.3g} ms of the host to launch{device}",
            f"{result['launches']:.0f} launches",
            *result["top"],
        ]
        return ", ".join(parts)
    if job["job"] == "loader":
        share = f"{result['wait_share']:.1%} of the time waiting for data ({job['workers']} workers)"
        return f"{name(job)}: {result['per_second']:.4g} it/s on real batches, {share}"
    memory = "" if result["peak_gib"] is None else f", {result['peak_gib']:.2f} GiB"
    hours = "" if small else f", {hours_of(result['per_second']):.2f} h for 500k"
    return f"{name(job)}: {result['per_second']:.4g} it/s{memory}{hours}, ready after {result['ready_s']:.1f} s"


def rows(results: Sequence[Result]) -> list[dict[str, Cell]]:
    """A row for each step that was timed."""
    return [
        {
            "backbone": spec.backbone,
            "regularizer": spec.reg,
            "precision": spec.precision,
            "mode": str(spec).split(f"{spec.precision} ", 1)[1],
            "it/s": result["per_second"],
            "slowest to fastest pass": f"{result['slowest']:.4g} to {result['fastest']:.4g}",
            "peak GiB": result["peak_gib"],
            "reserved GiB": result["reserved_gib"],
        }
        for spec, result in _steps(results)
    ]


def hours(results: Sequence[Result]) -> list[dict[str, Cell]]:
    """A row for each backbone, a column for each regularizer."""
    found: dict[str, dict[str, Cell]] = {}
    for spec, result in _steps(results):
        if spec == Spec(spec.backbone, spec.reg):
            found.setdefault(spec.backbone, {"backbone": spec.backbone})[spec.reg] = hours_of(result["per_second"])
    return list(found.values())


def hours_of(per_second: float) -> float:
    """Hours of 500k iterations."""
    return _ITERATIONS / per_second / 3600


def shares(results: Sequence[Result]) -> list[str]:
    """What a regularizer adds to a step: to that of `two_views` for those of two views, if it was timed."""
    rate = {spec: result["per_second"] for spec, result in _steps(results)}
    lines = []
    for spec, its in rate.items():
        for base in _BASES.get(spec.reg, ()):
            plain = rate.get(Spec(**{**vars(spec), "reg": base}))
            if plain:
                lines.append(f"{spec}: the regularizer takes {1 - its / plain:.1%} of a step (beside {base})")
                break
    return lines


def targets(results: Sequence[Result]) -> list[str]:
    """What is aimed at on a GPU, and what was measured."""
    lines = []
    steps = [(r["per_second"], s) for s, r in _steps(results) if s.backbone == "srresnet" and s.precision == "bf16"]
    if steps:
        best, spec = max(steps, key=lambda pair: pair[0])
        lines.append(f"target 150 it/s of SRResNet in bf16, moonshot 400: {best:.4g} ({spec}), {_met(best >= 150)}")
    for job, result in results:
        if job["job"] == "loader":
            share, minutes = result["wait_share"], 60 * hours_of(result["per_second"])
            lines.append(f"target under 5 % of the time waiting for data: {share:.1%}, {_met(share < 0.05)}")
            lines.append(f"target 500k iterations in 60 min, moonshot 25: {minutes:.0f}, {_met(minutes < 60)}")
    return lines


def _met(yes: bool) -> str:
    return "met" if yes else "MISSED"


def _steps(results: Sequence[Result]) -> list[tuple[Spec, dict[str, Any]]]:
    return [(_spec(job), result) for job, result in results if job["job"] == "step"]


def _spec(job: dict[str, Any]) -> Spec:
    return Spec(**{key: value for key, value in job.items() if key in Spec.__dataclass_fields__})
