"""SIGTERM and Ctrl-C while training: remembered, so that the step ends and its state is written."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

from blindsr.runtime.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SAME = 1.0  # seconds: a launcher passes on a Ctrl-C that the terminal has sent to everyone


class Interruption:
    """`with Interruption() as stop:` then `stop.signal` is 0, or the number of the first signal that came.

    A second Ctrl-C, at least a second later, raises KeyboardInterrupt at once: for a step that hangs.
    """

    def __init__(self) -> None:
        """Handles nothing before the block is entered, and nothing outside the main thread."""
        self.signal = 0
        self._came = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.signal:
            return  # the process is about to end, and a launcher may repeat the signal while it says so
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self.signal:
            self.signal, self._came = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._came >= _SAME:
            raise KeyboardInterrupt

    @staticmethod
    def error(number: int, iteration: int) -> Interrupted:
        """What to raise once the state is written.

        Args:
            number: Of the signal that came.
            iteration: Iterations in that state.

        Returns:
            The error; its exit status is 128 + signal.
        """
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        return Interrupted(
            f"stopped by {name} after iteration {iteration}: the same command resumes from there", number
        )


def ignore() -> None:
    """In a helper process: leave stopping to the parent, whose Ctrl-C or SIGTERM may reach the whole group."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
