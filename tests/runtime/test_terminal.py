"""What is printed ends nothing, wherever it goes."""

import os
import subprocess
import sys
from pathlib import Path

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


def test_work_goes_on_when_both_readers_have_gone(tmp_path: Path) -> None:
    code = "import pathlib, sys\nfrom blindsr.runtime import terminal\nwith terminal.tolerant():\n"
    code += "    for number in range(200):\n        print('x' * 1000, flush=True)\n"
    code += "        print('x' * 1000, file=sys.stderr)\n"
    code += "    pathlib.Path('made').write_text('whole')\n    sys.exit(0)\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert (tmp_path / "made").read_text() == "whole"


def test_closed_streams_are_none(tmp_path: Path) -> None:
    """A file that is opened takes the place of none: what is printed would go into it."""
    code = "import sys\nfrom blindsr.runtime import terminal\nwith terminal.tolerant():\n"
    code += "    with open('made', 'w') as file:\n        print('out')\n        print('err', file=sys.stderr)\n"
    code += "        sys.stdout.flush()\n        file.write('whole')\n"
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "made").read_text() == "whole"


def test_a_pipe_that_does_not_wait_gets_all() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen([sys.executable, "-c", PRINT.format("x", 1_000_000)], stdout=writer)
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b"x" * 1_000_000 + b"\n"
    assert process.wait() == 0


def test_names_are_the_same_text_in_every_locale(tmp_path: Path) -> None:
    """Without UTF-8 its two bytes would be two letters, or none, and the noise of its image another one."""
    (tmp_path / "ü.png").write_bytes(b"")
    code = "import os, sys\nfrom blindsr.runtime import terminal\nterminal.require_utf8()\n"
    code += "print(ascii([os.listdir('.'), sys.argv[1]]), sys.stdout.encoding)"
    none = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, "ü"], cwd=tmp_path, env=os.environ | none, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == r"[['\xfc.png'], '\xfc'] ascii" + "\n"


@pytest.mark.parametrize("end", ["", "sys.exit(0)"])
def test_a_full_terminal_is_one_line(end: str) -> None:
    code = "import sys\nfrom blindsr.runtime import terminal\nfrom blindsr.runtime.errors import UserError\ntry:\n"
    code += f"    with terminal.tolerant():\n        print('x' * 100_000)\n        {end}\n"
    code += "except UserError as error:\n    exit(str(error))"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == "the output cannot be written (No space left on device); files are complete\n"
