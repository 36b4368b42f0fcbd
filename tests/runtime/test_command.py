"""A command ends in one line, whatever ended it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import typer
from blindsr.runtime import command
from blindsr.runtime.errors import UserError
app = typer.Typer(cls=command.Commands)
@app.command()
def work() -> None:
    {}
@app.command()
def other() -> None:
    pass
command.run(app)
"""
ABSENT = (
    "this command needs nosuch_package, which is not installed: pip install nosuch_package, "
    "or blindsr with its extra, blindsr[pipeline]"
)
MEMORY = "there is too little memory: end other programs, or choose smaller tiles, batches or images"
CHECK = "check that it is there, and its folder's rights"


@pytest.mark.parametrize(
    ("work", "says", "status"),
    [
        ("raise KeyboardInterrupt", "stopped by Ctrl-C: run the same command again", 130),
        ("raise UserError('wrong')", "wrong", 2),
        ("open('absent/x')", f"absent/x: No such file or directory: {CHECK}", 2),
        ("open('/dev/null/x', 'w')", f"/dev/null/x: Not a directory: {CHECK}", 2),
        (f"open('{'x' * 256}')", f"{'x' * 256}: File name too long: choose a shorter name", 2),
        ("raise OSError(30, 'Read-only', 'x')", "x: Read-only: choose a place that is not read-only", 2),
        ("bytearray(2**62)", MEMORY, 2),
        ("raise RuntimeError('DefaultCPUAllocator: not enough memory')", MEMORY, 2),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate 1 GiB')", MEMORY, 2),
        ("raise RuntimeError('could not create a primitive')", MEMORY, 2),
        ('raise RuntimeError("can\'t start new thread")', MEMORY, 2),
        ("import nosuch_package.part", ABSENT, 2),
        ("raise ImportError('x.so: failed to map segment from shared object')", MEMORY, 2),
    ],
    ids=[
        "Ctrl-C",
        "error",
        "absent",
        "no folder",
        "long name",
        "read-only",
        "memory",
        "CPU's",
        "GPU's",
        "oneDNN's",
        "thread's",
        "package",
        "library's",
    ],
)
def test_it_ends_in_one_line(tmp_path: Path, work: str, says: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APP.format(work), "work"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == f"error: {says}\n"
    assert done.returncode == status


@pytest.mark.parametrize("place", ["app = lambda: signal.raise_signal(2)", "command.Commands.parse_args = stop"])
def test_ctrl_c_before_a_command_has_begun(place: str) -> None:
    stop = f"import signal\ndef stop(*_): signal.raise_signal(2)\n{place}\ncommand.run(app)"
    code = APP.format("pass").replace("command.run(app)", stop)
    done = subprocess.run([sys.executable, "-c", code, "work"], capture_output=True, text=True, check=False)
    assert done.stderr == "error: stopped by Ctrl-C: run the same command again\n"
    assert done.returncode == 130


def test_a_fault_of_the_program_keeps_its_trace(tmp_path: Path) -> None:
    code = APP.format("raise OSError('of no file')")
    done = subprocess.run([sys.executable, "-c", code, "work"], capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr


def test_full_disk_of_the_output(tmp_path: Path) -> None:
    """Typer ends every command by an exit of its own."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", APP.format("print(1)"), "work"], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False, env=os.environ,
        )  # fmt: skip
    assert done.stderr == "error: the output cannot be written (No space left on device); files are complete\n"
    assert done.returncode == 2
