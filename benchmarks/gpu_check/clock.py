"""The budget of time: each part has a share, and what it leaves goes to those after it."""

import time

SHARES = {"tests": 0.20, "speed": 0.36, "profile": 0.07, "training": 0.37}
"""Part -> share of the budget, in the order in which they run."""
_RESERVE = 3.0  # seconds at the end, to write what is there


class Clock:
    """Deadlines as seconds since the epoch, which child processes understand, too."""

    def __init__(self, seconds: float, parts: list[str]) -> None:
        """The budget starts now; `parts` are those of SHARES that will run."""
        self._began = time.time()
        self._end = self._began + seconds
        self._parts = parts

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.time() - self._began

    def deadline(self, part: str) -> float:
        """When `part`, which begins now, has to be over."""
        rest = self._parts[self._parts.index(part) :]
        left = max(0.0, self._end - min(_RESERVE, 0.05 * (self._end - self._began)) - time.time())
        return time.time() + left * SHARES[part] / sum(SHARES[name] for name in rest)
