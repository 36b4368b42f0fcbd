"""In a worker: torch's profiler on a few steps, and what it shows of where the time goes."""

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity

from benchmarks.gpu_check.spec import Spec
from benchmarks.gpu_check.subject import running
from benchmarks.step import count_operations

Events = list[dict[str, Any]]
_LARGEST = 15 * 2**20  # bytes of the compressed trace
_STEPS = 10
_MATRIX = ("conv", "gemm", "gemv", "xmma", "cutlass", "wgrad", "dgrad", "fprop", "implicit", "nvjet", "winograd")
"""Parts of the names of kernels that do convolutions and matrix products."""


def profile(*, small: bool, trace: str, specs: list[dict[str, Any]]) -> dict[str, Any]:
    """Profile some steps of each spec; the events of all of them go to the file `trace`, compressed.

    Each spec gets: ms of a step (not profiled, and profiled), TFLOP of it, the share of the time of a step (not
    profiled) in which no kernel ran, that of kernel time in convolutions and products, and the longest kernels.
    """
    found, everything = [], []
    for spec in specs:
        try:
            summary, events = _one(Spec(**spec), small)
            found.append({"spec": spec, **summary})
            everything += events
        except Exception as error:  # the other specs' events are worth their file
            found.append({"spec": spec, "error": f"{type(error).__name__}: {str(error).splitlines()[0]}"})
    kept = _write(everything, Path(trace))
    return {"specs": found, "trace_mib": kept, "device": _device()}


def _one(spec: Spec, small: bool) -> tuple[dict[str, Any], Events]:
    count = 2 if small else _STEPS
    with running(spec, small) as subject:
        subject.warm_up()
        began = time.perf_counter()
        for _ in range(count):
            subject.step()
        subject.wait()
        plain = (time.perf_counter() - began) / count

        def steps() -> None:
            with torch.profiler.record_function(f"steps of {spec}"):
                for _ in range(count):
                    subject.step()
                subject.wait()

        taken, events = traced(steps)
    with running(Spec(spec.backbone, spec.reg, spec.precision, "eager"), small) as counted:
        counted.step()
        operations = count_operations(counted.step)  # by Python, which a replay does not run
    work = device_events(events)
    kernels = [event for event in work if event["cat"] == "kernel"] or [
        event for event in events if event.get("cat") == "cpu_op" and event["name"].startswith("aten::")
    ]
    total = sum(event["dur"] for event in kernels) or 1.0
    matrix = sum(event["dur"] for event in kernels if any(part in event["name"].lower() for part in _MATRIX))
    return {
        "step_ms": 1e3 * plain,
        "profiled_ms": 1e3 * taken / count,
        "tflop": operations / 1e12,
        "tflop_per_second": operations / plain / 1e12,
        "idle_share": max(0.0, 1 - covered(work) / 1e6 / count / plain) if work else None,
        "matrix_share": matrix / total,
        "launches": len(work) / count if work else len(kernels) / count,
        "top": _longest(kernels, total),
    }, events


def traced(function: Callable[[], object]) -> tuple[float, Events]:
    """Seconds that a call took under the profiler, with the device idle at its end, and its events by Chrome's names.

    Times of events (`ts`, `dur`) are in µs; `cat` is "kernel", "gpu_memcpy", "gpu_memset", "cpu_op" and others.
    """
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * torch.cuda.is_available()
    with torch.profiler.profile(activities=activities) as seen:
        began = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(path))
        events = json.loads(path.read_text(errors="replace"))["traceEvents"]
    return taken, [event for event in events if isinstance(event, dict)]


def device_events(events: Events) -> Events:
    """What ran on the device: kernels, copies, fills."""
    return [
        event for event in events if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset") and "dur" in event
    ]


def covered(events: Events) -> float:
    """µs in which at least one of the events was under way."""
    total, until = 0.0, float("-inf")
    for start, end in sorted((event["ts"], event["ts"] + event["dur"]) for event in events):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _longest(kernels: Events, total: float) -> list[str]:
    by_name: dict[str, tuple[float, int]] = {}
    for event in kernels:
        time_, calls = by_name.get(event["name"], (0.0, 0))
        by_name[event["name"]] = (time_ + event["dur"], calls + 1)
    ordered = sorted(by_name.items(), key=lambda item: -item[1][0])[:5]
    return [f"{100 * time_ / total:.1f} % in {calls} calls of {name[:90]}" for name, (time_, calls) in ordered]


def _write(events: Events, path: Path) -> float | None:
    """Write the trace, without the host's operations if it is too large; MiB that it takes, or None."""
    for kept in (events, device_events(events)):
        packed = gzip.compress(json.dumps({"traceEvents": kept}).encode(), 6)
        if len(packed) <= _LARGEST:
            path.write_bytes(packed)
            return len(packed) / 2**20
    return None


def _device() -> dict[str, float] | None:
    """What this device reaches: TFLOP/s of a bf16 product of 8192 x 8192 matrices, GB/s of a copy."""
    if not torch.cuda.is_available():
        return None
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    product, copy = _best(lambda: a @ b), _best(lambda: target.copy_(source))
    return {"bf16_tflop_per_second": 2 * 8192**3 / product / 1e12, "copy_gb_per_second": 2 * 2**30 / copy / 1e9}


def _best(function: Callable[[], Tensor]) -> float:
    """Seconds of the fastest of some calls, by the device's own clock."""
    seconds = []
    for _ in range(8):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        function()
        end.record()
        torch.cuda.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return min(seconds)
