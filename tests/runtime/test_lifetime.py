"""Processes that end with those that started them: a kill of the parent alone, seen by the children."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blindsr.runtime import lifetime

SOURCE = str(Path(lifetime.__file__).parents[2])
# a command of this project, which says that it runs and then does nothing
COMMAND = """
import os, signal
from blindsr.runtime import command
command.run(lambda: (print(os.getpid(), os.getppid(), flush=True), signal.pause()))
"""
# what starts it with some more environment, in a shell or directly, and waits
STARTER = """
import os, subprocess, sys
environment = dict(os.environ)
if "launcher" in sys.argv[1]:
    from blindsr.runtime import lifetime
    environment |= lifetime.started_here()
if "dvc" in sys.argv[1]:
    environment["DVC_STAGE"] = "train@srresnet-rff-0"
command = [sys.executable, "-c", sys.argv[2]]
if "shell" in sys.argv[1]:
    command = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, sys.argv[2]]
subprocess.run(command, env=environment)
"""


@pytest.fixture
def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "BLINDSR_"))} | {
        "PYTHONPATH": SOURCE
    }


@pytest.fixture
def starters(environment: dict[str, str]) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def start(starters: list[subprocess.Popen[str]], environment: dict[str, str], how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", STARTER, how, COMMAND]
    starters.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    return starters[-1]


@pytest.mark.parametrize("how", ["dvc", "dvc shell", "launcher shell"])
def test_a_command_ends_when_what_started_it_is_killed(
    starters: list[subprocess.Popen[str]], environment: dict[str, str], how: str
) -> None:
    """The pipe is open as long as the command, or the shell between the two, is alive."""
    starter = start(starters, environment, how)
    assert starter.stdout is not None
    assert starter.stdout.readline()
    starter.kill()
    assert starter.stdout.read() == ""


def test_a_command_of_a_person_goes_on_without_its_shell(
    starters: list[subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    """As after `nohup blindsr train … &` and a logout."""
    starter = start(starters, environment, "by hand")
    assert starter.stdout is not None
    command = int(starter.stdout.readline().split()[0])
    starter.kill()
    starter.wait()
    os.kill(command, 0)  # it is there
    os.kill(command, signal.SIGTERM)
    assert starter.stdout.read() == ""


def test_a_launcher_that_has_ended_stops_what_begins_now(environment: dict[str, str]) -> None:
    """A stage that DVC starts after the grid was killed; another process may have its number."""
    for gone in (f"{os.getpid()}:12", "999999999:12"):
        done = subprocess.run(
            [sys.executable, "-c", COMMAND], env=environment | {"BLINDSR_STARTED_BY": gone}, check=False
        )
        assert done.returncode == -signal.SIGTERM


def test_a_launcher_is_known_by_its_number_and_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = lifetime.started_here().values()
    assert int(said.split(":")[0]) == os.getpid()
    monkeypatch.delenv("DVC_STAGE", raising=False)
    for nonsense in ("", "nonsense", f"{os.getpid()}", "12:a"):
        monkeypatch.setenv("BLINDSR_STARTED_BY", nonsense)
        lifetime.stop_with_starters()  # nothing is watched, and nothing happens
