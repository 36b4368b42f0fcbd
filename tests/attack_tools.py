"""What the attacks of `attacks.py` share. A kind gives (what, attack); an attack returns what went wrong."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from blindsr import cli
from blindsr.config import params, preflight
from blindsr.config.params import Params
from blindsr.data import images
from tests import committed

ROOT = Path(__file__).resolve().parents[1]
SECRET = "s3cr3t"
"""Of passwords and folders: no attack may bring it into a message."""
Attack = Callable[[], str | None]
Attacks = Iterator[tuple[str, Attack]]


class Given(NamedTuple):
    """What a kind of attack works with: a project to copy, and how much is drawn by chance."""

    project: Path
    draw: np.random.Generator
    rounds: int


def refused(call: Callable[[], Any]) -> Attack:
    """An attack that must end in a UserError."""

    def attack() -> str:
        call()
        return "accepted"

    return attack


def command(*arguments: str) -> int:
    """`blindsr ARGUMENTS` in this process; its status."""
    with mock.patch.object(sys, "argv", ["blindsr", *arguments]):
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def fails(*arguments: str) -> str | None:
    """A command that must end with status 2, in one line."""
    status = command(*arguments)
    return None if status == 2 else f"status {status}"


def settings(changes: dict[str, Any]) -> Params:
    """The settings of the project with other values, checked as before the first stage."""
    composed = committed.settings()
    for key, value in changes.items():
        place = composed
        *parents, last = key.split(".")
        for part in parents:
            place = place[part]
        place[last] = value
    found = params.parse(composed)
    if not found.train.init_from:
        preflight.check(found)
    return found


def photo(path: Path, side: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
