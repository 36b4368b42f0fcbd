"""Calls that may not take longer than they are given, such as those of a server that sends a byte now and then."""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """Call a function in a thread, and wait for it.

    Args:
        seconds: At most so long. What the function still does after that is of no interest to anyone; it does not
            keep the process alive.
        call: The function.

    Returns:
        What it returned.

    Raises:
        TimeoutError: if it takes longer; else whatever the function raises.
    """
    done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put((call(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no whole answer in {seconds:g} s") from None
    if error is not None:
        raise error
    return result


class Patient:
    """Any object whose methods are to be called through `within`."""

    def __init__(self, wrapped: Any, seconds: Callable[[str], float]) -> None:
        """`seconds` says how long a method may take, given its name."""
        self._wrapped, self._seconds = wrapped, seconds

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if not callable(found):
            return found
        return lambda *given, **named: within(self._seconds(name), lambda: found(*given, **named))
