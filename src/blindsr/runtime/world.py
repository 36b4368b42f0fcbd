"""Which of several processes this one is: torchrun says it in the environment."""

import os
from typing import NamedTuple

from blindsr.runtime.errors import UserError

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
UNSET = f"env {' '.join(f'-u {name}' for name in NAMES)}"
"""Command that runs another one without them."""


class Rank(NamedTuple):
    """The place of a process among those that work together, or alone."""

    number: int = 0
    """Of this process among all, from 0."""
    processes: int = 1
    """Processes on all machines together."""
    local: int = 0
    """Of this process among those of its machine: the GPU that it uses."""


def rank() -> Rank:
    """As torchrun's RANK, WORLD_SIZE and LOCAL_RANK say; alone without all three.

    Raises:
        UserError: for three that cannot be.
    """
    given = [os.environ.get(name) for name in NAMES]
    if None in given:
        return Rank()
    try:
        number, processes, local = (int(value or "") for value in given)
    except ValueError:
        number, processes, local = 0, 0, 0
    if not 0 <= local <= number < processes:
        said = ", ".join(f"{name}={value}" for name, value in zip(NAMES, given, strict=True))
        raise UserError(f"{said} is nothing that torchrun sets: put `{UNSET}` before the command")
    return Rank(number, processes, local)
