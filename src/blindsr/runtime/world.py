"""Which of several processes this one is: torchrun says it in the environment."""

import os
from typing import NamedTuple


class Rank(NamedTuple):
    """The place of a process among those that work together, or alone."""

    number: int = 0
    """Of this process among all, from 0."""
    processes: int = 1
    """Processes on all machines together."""
    local: int = 0
    """Of this process among those of its machine: the GPU that it uses."""


def rank() -> Rank:
    """As torchrun's RANK, WORLD_SIZE and LOCAL_RANK say; alone without all three."""
    try:
        return Rank(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except KeyError:
        return Rank()
