"""Part "profile": where the time of a step goes, and the trace to look at in Perfetto."""

from typing import Any

from benchmarks.gpu_check.children import messages, worker
from benchmarks.gpu_check.context import Context

PEAKS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}
"""Part of a card's name -> its peak of dense bf16 products in TFLOP/s, as NVIDIA states it for SXM cards."""
_SLOWER = ("H100 PCIe", "NVL")  # cards of that name with other peaks
_IDLE, _MATRIX = 0.25, 0.6  # shares from which on launches, or arithmetic, is what bounds


def run(context: Context, deadline: float) -> None:
    """Profile SRResNet's step, launched by Python and replayed."""
    precision = "bf16" if context.cuda else "fp32"
    modes = ["eager", "graph"] if context.cuda else ["eager"]
    job = {
        "job": "profile",
        "trace": str(context.journal.folder / "trace.json.gz"),
        "specs": [{"reg": "rff", "precision": precision, "mode": mode} for mode in modes],
    }
    child = worker("jobs", jobs=[job], small=context.small, deadline=deadline)
    done = False
    for _, message in messages([child], deadline):
        done = True
        if "error" in message:
            context.journal.line("profile", message["error"], failed=True)
        elif "result" in message:
            _tell(context, message["result"])
    if not done:
        context.journal.line("profile", child.problem() or "ended without a result", failed=True)


def _tell(context: Context, result: dict[str, Any]) -> None:
    peak = _peak(context.gpu) if context.cuda else None
    if result["device"]:
        reached = result["device"]
        product = f"{reached['bf16_tflop_per_second']:.0f} TFLOP/s{_of(reached['bf16_tflop_per_second'], peak)}"
        text = f"this device reaches {product} in a bf16 product of 8192² matrices"
        text += f" and {reached['copy_gb_per_second']:.0f} GB/s in a copy"
        context.journal.line("profile", text, **reached)
    for spec in result["specs"]:
        name = f"SRResNet {spec['spec']['reg']} {spec['spec']['precision']} {spec['spec']['mode']}"
        if "error" in spec:
            context.journal.line("profile", f"{name}: {spec['error']}", failed=True)
            continue
        context.journal.line("profile", f"{name}: {verdict(spec, peak)}", **spec)
        for kernel in spec["top"]:
            context.journal.line("profile", f"{name}: {kernel}")
    size = result["trace_mib"]
    text = (
        "trace.json.gz would be too large" if size is None else f"trace.json.gz: {size:.2f} MiB, for ui.perfetto.dev"
    )
    context.journal.line("profile", text, failed=size is None)


def verdict(spec: dict[str, Any], peak: float | None) -> str:
    """What bounds a step, in one line.

    Args:
        spec: `step_ms`, `tflop_per_second`, `matrix_share` (of kernel time in convolutions and products), `launches`
            of a step and `idle_share` (of the time with no kernel running; None on a CPU).
        peak: TFLOP/s of the card, or None.
    """
    rate = f"{spec['tflop_per_second']:.3g} TFLOP/s{_of(spec['tflop_per_second'], peak)}"
    facts = f"{spec['step_ms']:.3g} ms a step, {rate}, {spec['launches']:.0f} operations on the device a step"
    matrix = f"{spec['matrix_share']:.0%} of their time in convolutions and products"
    if spec["idle_share"] is None:
        return f"{facts}, {matrix}; no GPU, so nothing is said of what bounds it"
    idle = f"no kernel ran in {spec['idle_share']:.0%} of the time"
    if spec["idle_share"] >= _IDLE:
        bound = "launches"
    else:
        bound = "arithmetic" if spec["matrix_share"] >= _MATRIX else "memory"
    return f"bound by {bound}: {facts}; {idle}, {matrix}"


def _peak(gpu: str) -> float | None:
    if any(name in gpu for name in _SLOWER):
        return None
    return next((value for name, value in PEAKS.items() if name in gpu), None)


def _of(rate: float, peak: float | None) -> str:
    return f" ({rate / peak:.1%} of the dense bf16 peak of {peak:.0f})" if peak else " (peak not known)"
