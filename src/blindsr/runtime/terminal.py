"""Standard output and error: warnings, names that a terminal cannot show, a reader that has gone."""

import contextlib
import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from rich.console import Console
from rich.logging import RichHandler

from blindsr.runtime.errors import UserError

_FULL = (errno.ENOSPC, errno.EIO, errno.EBADF)


@contextlib.contextmanager
def tolerant() -> Iterator[None]:
    r"""Show what the terminal's encoding lacks as \x.., and end quietly when the reader has enough, as `| head` has.

    Files are written before anything is printed, so nothing is lost.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _close()
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:  # of a file
            raise
        _close()
        raise UserError(f"the output cannot be written ({error.strerror}); files are complete") from None


def _close() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more as it ends


def show_warnings() -> None:
    """Have warnings of the program, and not those of libraries about single images, shown on standard error."""
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False, show_level=True)
        logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    else:  # in a log, a warning is one line
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged files, which have a line of their own
