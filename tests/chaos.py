"""Chaos by rounds: a stage or an app is disturbed at a moment that a seed draws, and run again.

    python -m tests.chaos --rounds 200
    python -m tests.chaos --rounds 20 --seed 7 --only train

It is killed (SIGKILL, SIGTERM, Ctrl-C), or finds a full disk, files of a limited size, few open files or little
memory, or another one of itself. It must end in time, without a traceback and without leaving a process behind;
afterwards the same command must succeed, with the same bytes as if nothing had been.
"""

import argparse
import collections
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests import chaos_project as project

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "ctrl-c": signal.SIGINT}
KINDS = (*SIGNALS, "disk", "size", "files", "memory", "twice")
DISKS = ("models", "reports", ".train_state", "data", "mlruns", "tmp", "out", "big", "made", "sent")
STAGES = tuple(project.WORKS)[:8]


@dataclass
class Count:
    """What the rounds ended with."""

    rounds: int = 0
    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)


def rounds(number: int, seed: int, only: tuple[str, ...] = (), kinds: tuple[str, ...] = KINDS) -> Count:
    """Disturb commands of a project that is made in the working directory.

    Args:
        number: Of rounds.
        seed: Draws work, kind and moment of each.
        only: Works; empty for all.
        kinds: Of disturbances.
    """
    count, draw = Count(), np.random.default_rng(seed)
    Path("right").mkdir()
    with contextlib.chdir("right"):
        seconds = project.make(Path.cwd(), only)
        expected = {name: project.outs(project.WORKS[name]) for name in seconds}
    for number_of in range(1, number + 1):
        shutil.copytree("right", "now", symlinks=True)
        with contextlib.chdir("now"):
            name = str(draw.choice(only or tuple(project.WORKS)))
            kind = str(draw.choice(kinds))
            moment = float(draw.uniform(0, 1.1) * seconds[name])
            if name != "report" and draw.random() < 0.7:
                shutil.rmtree(".train_state", ignore_errors=True)
            what, said = _round(name, kind, moment, expected[name], draw)
        shutil.rmtree("now")
        line = f"{number_of}: {name}, {what}: {said or 'right'}"
        print(line, flush=True)
        count.rounds += 1
        count.ends[f"{kind}: {'wrong' if said else 'right'}"] += 1
        if said:
            count.wrong.append(line)
    return count


def _round(
    name: str, kind: str, moment: float, expected: dict[str, str], draw: np.random.Generator
) -> tuple[str, str]:
    """One round: what was done, and what was wrong with it."""
    work = project.WORKS[name]
    project.clear(work)
    if kind in SIGNALS:
        group = bool(draw.integers(2))
        what = f"{kind} of {'all' if group else 'one'} after {moment:.2f} s"
        running = project.start(work.command, Path("said"))
        time.sleep(moment)
        running.signal(SIGNALS[kind], group=group)
        ends = [running.wait()]
    elif kind == "twice":
        what = f"{kind}, {moment:.2f} s apart"
        running = project.start(work.command, Path("said"))
        time.sleep(moment)
        other = project.start(work.command, Path("said2"))
        ends = [running.wait(), other.wait()]
    elif kind == "disk":
        place = Path(str(draw.choice([disk for disk in DISKS if Path(disk).exists() or disk == ".train_state"])))
        room = int(draw.choice([0, 2, 8, 32, 128])) * 4096
        what = f"{room // 1024} KiB of disk for {place}"
        with project.small_disk(place, room):
            running = project.start(work.command, Path("said"))
            ends = [running.wait()]
    else:
        limit, what = _limit(kind, draw)
        running = project.start(work.command, Path("said"), limit)
        ends = [running.wait()]
    said = next((found for end in ends if (found := wrong(end))), "")
    if left := running.left():
        said = said or f"left {left}"
    if all(end.code for end in ends) and name in STAGES:
        project.clear(work)  # as DVC does
    again = project.start(work.command, Path("said")).wait()
    if not said and again.code != 0:
        said = f"the same command again: {again}"
    if not said and project.outs(work) != expected:
        here = project.outs(work)
        differ = sorted(file for file in {*here, *expected} if here.get(file) != expected.get(file))
        said = f"differs: {', '.join(differ[:4])}"
    return f"{what} ({', '.join(str(end.code) for end in ends)})", said


def _limit(kind: str, draw: np.random.Generator) -> tuple[Callable[[], None], str]:
    if kind == "files":
        number = int(draw.integers(0, 30))
        return lambda: project.few_files(number), f"{number} more open files"
    if kind == "memory":
        more = int(draw.integers(0, 400)) << 20
        return lambda: project.little_memory(more), f"{more >> 20} MiB more memory"
    most = int(2 ** draw.uniform(4, 20))
    return lambda: project.small_files(most), f"files of at most {most} bytes"


def wrong(end: project.End) -> str:
    """What is wrong with such an end; empty for one in order."""
    if end.code is None:
        return f"hangs: {end.said[-300:]}"
    lost = end.code == 0 and "Exception ignored in" in end.said  # Python drops a Ctrl-C that comes in a destructor
    if "Traceback" in end.said and not lost:
        return f"traceback: {end.said[-600:]}"
    if end.code == -signal.SIGKILL or end.code in (0, -signal.SIGTERM, -signal.SIGINT):
        return ""
    errors = [line for line in end.said.splitlines() if line.startswith("error: ")]
    return "" if errors else f"ended with {end.code} and no line: {end.said[-300:]}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="works, with commas between them")
    parser.add_argument("--kinds", default=",".join(KINDS))
    chosen = parser.parse_args()
    only = tuple(filter(None, chosen.only.split(",")))
    for variable in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        os.environ.pop(variable, None)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        count = rounds(chosen.rounds, chosen.seed, only, tuple(chosen.kinds.split(",")))
    print(f"{count.rounds} rounds: {dict(count.ends)}; {len(count.wrong)} wrong")
    for line in count.wrong:
        print(line)
    sys.exit(bool(count.wrong))


if __name__ == "__main__":
    main()
