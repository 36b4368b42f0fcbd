"""Standard output and error: warnings, names that a terminal cannot show, a reader that has gone, other encodings."""

import contextlib
import errno
import io
import logging
import os
import select
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from blindsr.runtime import escaping
from blindsr.runtime.errors import UserError


class _Patient(io.FileIO):
    """A stream of this process, which drops what cannot be written: the reader may be gone, or the disk full."""

    failure: OSError | None = None
    """The first error."""

    def write(self, content: Any, /) -> int:
        size = memoryview(content).nbytes
        if self.failure is None:
            try:
                written = super().write(content)
                while written is None:  # a pipe that does not wait, and is full
                    select.select([], [self], [])
                    written = super().write(content)
                return written
            except OSError as error:
                self.failure = error
        return size


@contextlib.contextmanager
def tolerant() -> Iterator[None]:
    r"""Let nothing end for the sake of what is printed inside the block.

    What a terminal's encoding lacks is shown as \x... What cannot be printed is dropped: quietly where the reader has
    enough, as `| head` has, or the stream is closed.

    Raises:
        UserError: at the end, where standard output could not be written for another reason, such as a full disk.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed: the next file that is opened would take its place
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115 - it stays open
    output = _patient("stdout")
    _patient("stderr")
    try:
        yield
    except SystemExit as end:
        if end.code:
            raise
    sys.stdout.flush()
    if output and output.failure and output.failure.errno != errno.EPIPE:
        reason = output.failure.strerror
        raise UserError(f"the output cannot be written ({reason}); files are complete")


def _patient(name: str) -> _Patient | None:
    """Replace a stream by one that is; not one that is closed, or of a test or a notebook."""
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
        return None
    stream.flush()
    raw = _Patient(stream.fileno(), "wb", closefd=False)
    buffered = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    setattr(sys, name, buffered)
    return raw


def require_utf8() -> None:
    """Start this program anew where files and their names have another encoding than UTF-8, as ISO-8859-1 has.

    There the name of an image, which seeds its noise, would be another text, and so would what is read and written.
    What is printed keeps the terminal's encoding.
    """
    if sys.getfilesystemencoding().lower() == "utf-8" or sys.flags.utf8_mode:
        return
    environment = {**os.environ, "PYTHONUTF8": "1"}
    environment.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding if sys.stdout else 'utf-8'}:backslashreplace")
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


class _Escaping(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return escaping.terminal(super().format(record))


def show_warnings() -> None:
    """Have warnings of the program, and not those of libraries about single images, shown on standard error."""
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False, show_level=True)
        handler.setFormatter(_Escaping("%(message)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
    else:  # in a log, a warning is one line
        plain = logging.StreamHandler()
        plain.setFormatter(_Escaping("%(levelname)s: %(message)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[plain])
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files, which have a line of their own
