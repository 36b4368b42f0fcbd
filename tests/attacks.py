"""Attacks by groups: wrong, hostile and damaged input, killed processes, disks that refuse.

    python -m tests.attacks                       # all, with 40 rounds of what is drawn by chance
    python -m tests.attacks --rounds 200 --seed 1
    python -m tests.attacks --group '7 leaks'     # one group

Each attack ends well, or in one line that holds no secret, within a minute; anything else is a failure. What is no
attack of a moment, such as the damage of files in use, is in `integrity.py`, and in the tests of each module.
"""

import argparse
import contextlib
import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from blindsr.runtime.errors import UserError
from tests import attack_inputs as inputs
from tests import attack_machines as machines
from tests import attack_state as state
from tests.attack_tools import SECRET, Given
from tests.integrity_project import make

_SECONDS = 60
GROUPS = {
    "1 hangs": [inputs.worker_faults],
    "2 work thrown away": [inputs.orphans, inputs.unfinished],
    "3 partial sets": [inputs.partial_sets],
    "4 hostile images": [inputs.hostile_images],
    "5 paths of manifests": [inputs.places],
    "6 odd names": [inputs.odd_names],
    "7 leaks": [state.addresses],
    "8 leftovers": [state.leftovers],
    "9 MLflow": [state.damaged_databases, state.scratched_databases, state.dripping, state.clones],
    "10 rows": [state.rows],
    "11 what hangs or kills": [machines.endless, machines.environments, machines.memory],
    "12 settings": [machines.wrong_settings],
    "13 tracebacks": [machines.bad_bytes, machines.read_only],
    "14 supply chain": [machines.formulas, machines.locks],
}
SLOW = {
    inputs.orphans,
    state.leftovers,
    state.damaged_databases,
    state.scratched_databases,
    state.dripping,
    state.clones,
    machines.bad_bytes,
}
SLOW |= {machines.read_only, machines.locks}
"""Kinds that start programs, or MLflow."""


@dataclass
class Group:
    """What the attacks of a group ended with."""

    held: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.held + len(self.failed)


def run(project: Path, rounds: int, seed: int, chosen: str | None = None, *, quick: bool = False) -> dict[str, Group]:
    """Attack; the result of each group.

    Args:
        project: Made by `integrity_project.make`.
        rounds: Of the attacks that are drawn by chance.
        seed: Of these.
        chosen: One group alone.
        quick: Leave out those that take seconds each.
    """
    groups: dict[str, Group] = {}
    for name, kinds in GROUPS.items():
        if chosen not in (None, name):
            continue
        groups[name] = group = Group()
        given = Given(project, np.random.default_rng([seed, len(groups)]), rounds)
        for kind in kinds:
            if quick and kind in SLOW:
                continue
            for number, (what, attack) in enumerate(kind(given)):
                with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                    said = outcome(attack)
                if said:
                    group.failed.append(f"{kind.__name__} {number} ({what}): {said}")
                else:
                    group.held += 1
    return groups


def outcome(attack: Callable[[], str | None]) -> str:
    """What went wrong in an attack, which says so itself, or raises what is no one line; else nothing."""
    printed = io.StringIO()
    try:
        with _limit(_SECONDS), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            said = attack() or ""
    except UserError as error:
        message = str(error)
        said = "" if "\n" not in message else f"several lines: {message!r}"
        printed.write(message)
    except TimeoutError as error:
        said = str(error)
    except SystemExit as end:
        said = "" if end.code in (0, 2) else f"status {end.code}"
    except BaseException as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if not said and SECRET in printed.getvalue():
        said = f"it says {printed.getvalue()!r}"
    return said or ("a traceback" if "Traceback" in printed.getvalue() else "")


@contextlib.contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def end(number: int, frame: Any) -> None:
        raise TimeoutError(f"it hangs: not over in {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def table(groups: dict[str, Group]) -> str:
    """A line per group: tried, held, failed."""
    lines = [f"{'group':<28}{'tried':>7}{'held':>7}{'failed':>8}"]
    lines += [f"{name:<28}{g.tried:>7}{g.held:>7}{len(g.failed):>8}" for name, g in groups.items()]
    total = Group(sum(g.held for g in groups.values()), [line for g in groups.values() for line in g.failed])
    lines.append(f"{'all':<28}{total.tried:>7}{total.held:>7}{len(total.failed):>8}")
    return "\n".join([*lines, *total.failed])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--group", choices=list(GROUPS))
    given = parser.parse_args()
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), mock.patch.dict(os.environ):
        make()
        groups = run(Path(folder), given.rounds, given.seed, given.group)
    print(table(groups))
    sys.exit(any(group.failed for group in groups.values()))


if __name__ == "__main__":
    main()
