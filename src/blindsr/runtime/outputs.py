"""What a user names to be written: a new file, a link, a device, a pipe, or a stream of this process."""

import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

from blindsr.runtime.errors import UserError

_OWN = re.compile(r"/dev/(?:(stdin|stdout|stderr)|fd/(\d+))|/proc/self/fd/(\d+)")
_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


def is_stream(path: Path) -> bool:
    """Whether a path is a device, a pipe or a stream, such as /dev/stdout: it is written to, and never replaced."""
    if _descriptor(path) is not None:
        return True
    try:
        return path.exists() and not path.is_file() and not path.is_dir()
    except OSError:  # a name that is too long
        return False


def _descriptor(path: Path) -> int | None:
    """The number of a stream that this process has, as /dev/stdout and >(...) name one; None for other paths."""
    named = _OWN.fullmatch(str(path))
    if not named:
        return None
    return _NUMBERS[named[1]] if named[1] else int(named[2] or named[3])


def pointed_to(path: Path) -> Path:
    """Where a file that a user names is written: what a link points to, so that the link stays one.

    Args:
        path: As it was given. A device, a pipe or a stream is opened by its own name.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() and not is_stream(path) else path


def require_writable(path: Path) -> None:
    """Check that a file can be written, before the work whose result it will hold.

    Args:
        path: Of the file, or of what `is_stream`; a link means what it points to.

    Raises:
        UserError: for a folder, and where the file or its folder may not be written.
    """
    elsewhere = f"{path} cannot be written{{}}: choose a place where you may write, and that holds no file"
    if is_stream(path):
        number = _descriptor(path)
        try:
            usable = os.access(path, os.W_OK) if number is None else os.fstat(number) is not None
        except OSError:  # it is closed
            usable = False
        if not usable:
            raise UserError(elsewhere.format(""))
        return
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder: name the file to write")
        place = Path(os.path.realpath(path)).parent
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place):  # rights alone do not say it: a place may be read-only, or full
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise UserError(elsewhere.format(" (it is read-only)"))
    except OSError as error:
        raise UserError(elsewhere.format(f" ({error.strerror})")) from None


def write_stream(path: Path, content: bytes) -> None:
    """Write to what `is_stream`; a reader that has enough is no error.

    A stream of this process keeps its place, behind what was printed before: opened by its name, a file that standard
    output goes to would be written over.

    Raises:
        OSError: where that fails for another reason.
    """
    number = _descriptor(path)
    if sys.stdout is not None:
        sys.stdout.flush()
    with contextlib.suppress(BrokenPipeError), open(path if number is None else os.dup(number), "wb") as stream:
        stream.write(content)
