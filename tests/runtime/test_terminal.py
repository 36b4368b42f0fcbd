"""What is printed ends nothing, wherever it goes."""

import os
import subprocess
import sys

import pytest

PRINT = "from blindsr.runtime import terminal\nwith terminal.tolerant():\n    print({!r} * {})\n"


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ | environment
    )


@pytest.mark.parametrize("text", ["caf\udce9", "€ ×4"])
def test_a_terminal_that_lacks_a_letter_shows_its_number(text: str) -> None:
    done = run(PRINT.format(text, 1), PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    assert "\\" in done.stdout


def test_a_reader_that_has_enough_is_no_error() -> None:
    code = PRINT.format("x" * 1000, 10_000)
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.read(10)
    writer.stdout.close()
    assert writer.stderr is not None
    assert writer.stderr.read() == b""
    assert writer.wait() == 0


def test_a_full_terminal_is_one_line() -> None:
    code = "from blindsr.runtime import terminal\nfrom blindsr.runtime.errors import UserError\ntry:\n"
    code += "    with terminal.tolerant():\n        print('x' * 100_000)\n"
    code += "except UserError as error:\n    exit(str(error))"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == "the output cannot be written (No space left on device); files are complete\n"
