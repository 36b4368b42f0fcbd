"""How a command ends: a user's error, Ctrl-C, and a place that cannot be used are one line each."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import typer.core

from blindsr.runtime import escaping, files, lifetime, packages, terminal, world
from blindsr.runtime.errors import Interrupted, UserError

# what torch says of a CPU and of a GPU, oneDNN of a convolution, the loader of a library that is imported late, and
# Python of a thread, which needs a stack
_NO_MEMORY = (
    "DefaultCPUAllocator", "out of memory", "could not create a primitive", "failed to map segment",
    "annot allocate memory", "can't start new thread",
)  # fmt: skip


class _Terminated(KeyboardInterrupt):
    """By SIGTERM."""


@contextlib.contextmanager
def stoppable(kept: Callable[[], str]) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM end the work inside the block with a line that says what is kept of it.

    Args:
        kept: Says what is kept, and how to go on.

    Raises:
        Interrupted: after such a signal, once everything inside the block has ended.
    """

    def end(number: int, frame: Any) -> None:
        raise _Terminated

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, end) if main else None
    try:
        yield
    except KeyboardInterrupt as stop:
        name, number = ("SIGTERM", signal.SIGTERM) if isinstance(stop, _Terminated) else ("Ctrl-C", signal.SIGINT)
        raise Interrupted(f"stopped by {name}: {kept()}", number) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


class Commands(typer.core.TyperGroup):
    """Says what to do after a Ctrl-C, which Typer ends in silence."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """As Typer has it."""
        try:
            return super().make_context(*arguments, **more)
        except KeyboardInterrupt:
            raise _interrupted() from None

    def invoke(self, ctx: Any) -> Any:
        """As Typer has it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _interrupted() from None


def _interrupted() -> Interrupted:
    return Interrupted("stopped by Ctrl-C: run the same command again", signal.SIGINT)


def run(app: Callable[[], Any]) -> None:
    """Run a command line, and end the process where it fails: with the status of a UserError, and its line.

    Args:
        app: Takes the arguments of this process.
    """
    terminal.require_utf8()
    try:
        lifetime.stop_with_starters(parent=world.rank().processes > 1)
        with terminal.tolerant():
            terminal.show_warnings()
            app()
    except UserError as error:
        _end(error)
    except KeyboardInterrupt:  # before the command line has been read
        _end(_interrupted())
    except OSError as error:
        if error.filename is not None:
            _end(UserError(f"{os.fsdecode(error.filename)}: {error.strerror}: {files.mend(error)}"))
        if not files.is_limit(error):  # a fault of this program
            raise
        _end(UserError(f"{error.strerror}: {files.mend(error)}"))
    except (MemoryError, RuntimeError, ImportError) as error:
        if (needed := packages.absent(error)) is not None:
            _end(UserError(f"this command needs {needed}"))
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in _NO_MEMORY):
            raise
        _end(UserError("there is too little memory: end other programs, or choose smaller tiles, batches or images"))


def _end(error: UserError) -> None:
    print(escaping.terminal(f"error: {error}"), file=sys.stderr)
    sys.exit(error.status)
