"""The rounds that `python -m tests.chaos` has more of, and its own tools."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import chaos, chaos_project

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("mlflow", "hydra", "sklearn", "dvc"),
    pytest.mark.skipif(sys.platform != "linux", reason="limits and sessions as Linux has them"),
]


def test_what_is_disturbed_ends_in_order_and_its_second_run_makes_the_same() -> None:
    """In a process of its own: a fork of one whose torch has used threads may not use them."""
    works = "patches,degrade,train,evaluate,score,upscale"
    command = [sys.executable, "-m", "tests.chaos", "--rounds", "4", "--seed", "3", "--only", works]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr
    assert "4 rounds" in done.stdout


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (chaos_project.End(0, "done"), ""),
        (chaos_project.End(-signal.SIGKILL, ""), ""),
        (chaos_project.End(2, "error: no room on the disk\n"), ""),
        (chaos_project.End(None, "waiting"), "hangs: waiting"),
        (chaos_project.End(1, "Traceback (most recent call last):"), "traceback: Traceback"),
        (chaos_project.End(1, "oh"), "ended with 1 and no line: oh"),
        (chaos_project.End(-signal.SIGSEGV, ""), "ended with -11 and no line: "),
    ],
)
def test_what_counts_as_wrong(end: chaos_project.End, said: str) -> None:
    found = chaos.wrong(end)
    assert found.startswith(said) if said else not found


def test_a_process_that_stays_behind_is_found(tmp_path: Path) -> None:
    def leave_one() -> None:
        if not os.fork():
            signal.pause()
        os._exit(0)

    started = chaos_project.start("--version", tmp_path / "said", leave_one)
    assert started.wait().code == 0
    try:
        assert started.left(within=0.0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
