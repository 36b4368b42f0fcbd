"""Results of part "speed" in words and as a table."""

from collections.abc import Sequence
from typing import Any

from benchmarks.gpu_check.journal import Cell
from benchmarks.gpu_check.spec import Spec

Result = tuple[dict[str, Any], dict[str, Any]]
"""A job, and what was measured."""
TITLE = "A training step, 16 LR images of 32×32 (GPU-hours are of 500k iterations, if nothing else bounds them)"
_ITERATIONS = 500_000


def name(job: dict[str, Any]) -> str:
    """A job in words."""
    fields = {key: value for key, value in job.items() if key in Spec.__dataclass_fields__}
    return (
        job["job"]
        if job["job"] == "synthesis"
        else f"{'' if job['job'] == 'step' else job['job'] + ' '}{Spec(**fields)}"
    )


def told(job: dict[str, Any], result: dict[str, Any]) -> str:
    """A result in one line."""
    if job["job"] == "synthesis":
        device = "" if result["device_ms"] is None else f", {result['device_ms']:.3g} ms on the device"
        text = (
            f"synthesis alone: {result['batches_per_second']:.4g} batches/s, of a batch {result['read_ms']:.3g} ms to"
        )
        text += f" read and draw on one core, {result['launch_ms']:.3g} ms of the host to launch{device}, "
        text += f"{result['launches']:.0f} launches ({result['together']} batches at once)"
        return "; ".join([text, *result["top"]])
    if job["job"] == "loader":
        share = f"{result['wait_share']:.1%} of the time waiting for data ({job['workers']} workers)"
        return f"{name(job)}: {result['per_second']:.4g} it/s on real batches, {share}"
    memory = "" if result["peak_gib"] is None else f", {result['peak_gib']:.2f} GiB"
    hours = f"{hours_of(result['per_second']):.2f} h for 500k"
    return f"{name(job)}: {result['per_second']:.4g} it/s{memory}, {hours}, ready after {result['ready_s']:.1f} s"


def rows(results: Sequence[Result]) -> list[dict[str, Cell]]:
    """A row for each step that was timed."""
    return [
        {
            "backbone": spec.backbone,
            "regularizer": spec.reg,
            "precision": spec.precision,
            "mode": spec.mode
            + ("" if spec.channels_last else ", channels_last off")
            + (", any algorithm" * spec.free),
            "it/s": result["per_second"],
            "slowest to fastest pass": f"{result['slowest']:.4g} to {result['fastest']:.4g}",
            "peak GiB": result["peak_gib"],
            "GPU-hours": hours_of(result["per_second"]),
        }
        for spec, result in _steps(results)
    ]


def shares(results: Sequence[Result]) -> list[str]:
    """What a regularizer adds to a step with the same batch: rff to that of two views, Dropout to that without."""
    rate = {spec: result["per_second"] for spec, result in _steps(results)}
    lines = []
    for spec, its in rate.items():
        base = {"rff": "two_views", "linear": "two_views", "dropout": "none"}.get(spec.reg)
        plain = rate.get(Spec(**{**vars(spec), "reg": base})) if base else None
        if plain:
            lines.append(f"{spec}: the regularizer takes {1 - its / plain:.1%} of a step (beside {base}; target 5 %)")
    return lines


def hours_of(per_second: float) -> float:
    """Hours of the paper's 500k iterations."""
    return _ITERATIONS / per_second / 3600


def _steps(results: Sequence[Result]) -> list[tuple[Spec, dict[str, Any]]]:
    steps = [(job, result) for job, result in results if job["job"] == "step"]
    return [(Spec(**{k: v for k, v in job.items() if k in Spec.__dataclass_fields__}), r) for job, r in steps]
