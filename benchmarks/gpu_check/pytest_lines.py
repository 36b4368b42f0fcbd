"""A pytest plug-in that tells each result as a line of JSON, as soon as it is there: a kill loses none."""

import json
import os
from typing import Any

import pytest

from benchmarks.gpu_check import protocol

_out = os.dup(1)  # before pytest takes standard output away
if "BLINDSR_GPU_CHECK" in os.environ:
    protocol.listen()


def pytest_runtest_logstart(nodeid: str) -> None:
    """If the process dies, this was the test."""
    _tell({"started": nodeid})


def pytest_runtest_logreport(report: Any) -> None:
    """Passed calls, and whatever failed or was skipped in any phase."""
    if report.when != "call" and report.outcome == "passed":
        return
    _tell(
        {
            "test": report.nodeid,
            "outcome": report.outcome,
            "seconds": report.duration,
            "reason": _reason(report),
            "measured": {str(name): value for name, value in report.user_properties},
        }
    )


def _tell(message: dict[str, Any]) -> None:
    os.write(_out, f"\n{json.dumps(message, default=str)}\n".encode())  # on a line of its own


def _reason(report: Any) -> str:
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"
    if report.outcome == "skipped":
        return str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr or "").strip()
    return " | ".join(line.strip() for line in text.splitlines()[:4] if line.strip())[:400]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: Any, call: Any) -> None:
    """After a failed CUDA call nothing in this process can be trusted: the check starts another one for the rest."""
    if call.excinfo and call.excinfo.errisinstance(RuntimeError) and "CUDA error" in str(call.excinfo.value):
        item.session.shouldstop = "a CUDA call failed"
