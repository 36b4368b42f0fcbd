"""What a worker says to the check, and how it ends with it."""

import json
import os
import threading
from typing import Any

_go = threading.Event()


def emit(**message: Any) -> None:
    """One message, at once."""
    print(json.dumps(message), flush=True)


def listen() -> None:
    """Obey standard input from now on: a line lets `wait_for_go` return, and its end ends this process.

    The check holds the other end: if it dies, so do its workers, who would otherwise keep the device.
    """
    # a copy of the descriptor, since pytest puts another file in its place
    threading.Thread(target=_listen, args=(os.dup(0),), daemon=True).start()


def _listen(standard_input: int) -> None:
    while os.read(standard_input, 4096):  # not sys.stdin, whose lock a forked helper would inherit
        _go.set()
    os._exit(1)


def wait_for_go() -> None:
    """Say that this worker is ready, and wait until all of them are."""
    emit(ready=True)
    _go.wait()
