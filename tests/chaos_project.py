"""A tiny project whose commands chaos disturbs: what each of them makes, and how long it takes."""

import contextlib
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from blindsr import cli
from blindsr.apps import export, score, suite  # noqa: F401 (imported once, before the forks)
from blindsr.apps.photos import upscale  # noqa: F401
from blindsr.config import conf
from blindsr.data import images
from blindsr.runtime import files
from blindsr.stages import analyse, degrade, evaluate, fetch, gallery, patches, report, train  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = [
    "reg.names=[none,rff]", "backbone.hyper.srresnet.num_blocks=1", "backbone.hyper.srresnet.num_features=4",
    "train.iterations=6", "train.batch=2", "train.crop=32", "train.window=80", "train.log_every=2",
    "analyse.images=1", "analyse.contents=4", "analyse.interaction.crops=2", "analyse.interaction.contexts=2",
    "runtime.workers=0", "runtime.checkpoint_every=2",
]  # fmt: skip
RUN = "srresnet-rff-0"
DEADLINE = 180.0  # seconds after which a command hangs


@dataclass(frozen=True)
class Work:
    """A command, and what it makes: DVC deletes the outs of a stage before it runs, but for those that persist."""

    command: str
    outs: tuple[str, ...]
    persists: tuple[str, ...] = ()


WORKS = {
    "fetch": Work("fetch", ("data/raw", "data/index"), persists=("data/raw",)),
    "patches": Work("patches", ("data/patches",)),
    "degrade": Work("degrade", ("data/lr",)),
    "train": Work("train srresnet rff 0", (f"models/{RUN}.safetensors", f"reports/curves/{RUN}.csv")),
    "evaluate": Work(f"evaluate {RUN}", (f"reports/scores/{RUN}.csv",)),
    "analyse": Work(f"analyse {RUN}", (f"reports/analysis/{RUN}",)),
    "gallery": Work("gallery", ("reports/gallery",)),
    "report": Work("report", ("reports/tables", "reports/plots", "reports/metrics.json", "reports/summary.json")),
    "score": Work(f"score photos --model {RUN} --csv out/s.csv --json out/s.json", ("out",)),
    "upscale": Work(f"upscale photos --model {RUN} --out big --threads 1", ("big",)),
    "suite": Work("suite photos made", ("made",)),
    "export": Work(f"export {RUN} --to safetensors --out sent/net.safetensors", ("sent",)),
}
"""The stages, in their order, and the apps that write."""

APPS = ("score", "upscale", "suite", "export")
LATER = {"analyse", "gallery", "report"}  # stages that need both runs and the controls
MOST = ("train", "evaluate", "analyse")  # also what the stages after them need of the other run


def make(folder: Path, only: tuple[str, ...] = ()) -> dict[str, float]:
    """Make the project in the working directory, which is `folder`, by its own commands.

    Args:
        folder: Of the project.
        only: Works that are disturbed afterwards; what comes after them is not made. Empty for all.

    Returns:
        Seconds that each work took.
    """
    shutil.copytree(ROOT / "data" / "manifests", folder / "data" / "manifests")
    shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
    composed = conf.compose(ROOT / "conf", SETTINGS)
    Path("params.yaml").write_text(yaml.safe_dump(composed, sort_keys=False))
    draw = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Path("photos").mkdir(exist_ok=True)
        images.write_png(Path("photos") / f"{name}.png", draw.integers(0, 256, (64, 72, 3), dtype=np.uint8))
    Path("sent").mkdir()
    spared = set(LATER) if only and not LATER & set(only) else set()
    spared |= {name for name in APPS if only and name not in only}
    seconds, both = {}, bool(LATER - spared)
    for name, work in WORKS.items():
        if name in spared:
            continue
        commands = [work.command]
        if name in MOST and both:
            commands.append(work.command.replace("rff", "none"))
        if name == "evaluate" and both:
            commands += ["evaluate bicubic", "evaluate bilinear"]
        for command in commands:
            began = time.monotonic()
            end = start(command, Path("said")).wait()
            seconds.setdefault(name, time.monotonic() - began)
            assert end.code == 0, f"{command}: {end}"
    return seconds


@dataclass(frozen=True)
class End:
    """How a command ended: its status, negative for a signal; None where it had to be ended."""

    code: int | None
    said: str


@dataclass
class Started:
    """A command that runs in a process, and a session, of its own."""

    pid: int
    said: Path

    def wait(self, seconds: float = DEADLINE) -> End:
        """Wait for its end, or end it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return End(os.waitstatus_to_exitcode(status), self.said.read_text(errors="replace"))
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, 9)
        os.waitpid(self.pid, 0)
        return End(None, self.said.read_text(errors="replace"))

    def signal(self, number: int, *, group: bool) -> None:
        """Send a signal to it alone, or to all that it started, as a terminal does."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.killpg if group else os.kill)(self.pid, number)

    def left(self, within: float = 10.0) -> list[str]:
        """Processes of its session that are still there some seconds after its own end."""
        until = time.monotonic() + within
        while (found := _of_session(self.pid)) and time.monotonic() < until:
            time.sleep(0.02)
        return found


def _of_session(session: int) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            name, fields = entry.read_text().rsplit(")", 1)
            state, _, _, of = fields.split()[:4]
            if int(of) == session and state != "Z":
                found.append(name)
    return found


def start(command: str, said: Path, limit: Callable[[], None] | None = None) -> Started:
    """Run `blindsr` in a fork of this process, which has imported what takes seconds to import.

    Args:
        command: Arguments.
        said: File that takes stdout and stderr.
        limit: Called in the new process before the command.
    """
    pid = os.fork()
    if pid:
        return Started(pid, said)
    status = 70  # of what no command ends with
    try:
        os.setsid()
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(out, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
        sys.argv = ["blindsr", *command.split()]
        torch.set_num_threads(1)
        if limit:
            limit()
        cli.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def outs(work: Work) -> dict[str, str]:
    """File -> hash of all that a work has made."""
    found = [path for out in work.outs for path in ([Path(out)] if Path(out).is_file() else Path(out).rglob("*"))]
    return {str(path): files.sha256(path) for path in found if path.is_file()}


def clear(work: Work) -> None:
    """Delete the outs, as DVC does before a stage runs."""
    for out in set(work.outs) - set(work.persists):
        if Path(out).is_dir():
            shutil.rmtree(out)
        Path(out).unlink(missing_ok=True)
    if "sent" in work.outs:
        Path("sent").mkdir()


@contextlib.contextmanager
def small_disk(folder: Path, room: int) -> Iterator[bool]:
    """A disk of its own for a folder, with `room` bytes free; yields False where this process may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{folder.name}.aside")
    pages = sum(-(-path.stat().st_size // 4096) + 1 for path in folder.rglob("*")) + 8
    size = pages * 4096 + room
    shutil.copytree(folder, aside, symlinks=True)
    mounted = not os.system(f"mount -t tmpfs -o size={size} chaos '{folder.resolve()}' 2>/dev/null")
    try:
        if mounted:
            shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
        yield mounted
        if mounted:
            shutil.rmtree(aside)
            shutil.copytree(folder, aside, symlinks=True)
    finally:
        if mounted:
            os.system(f"umount -l '{folder.resolve()}'")
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def few_files(number: int) -> None:
    """Allow `number` more open files."""
    there = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (there + number, there + number))


def small_files(most: int) -> None:
    """Allow files of at most `most` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def little_memory(more: int) -> None:
    """Allow `more` bytes of memory beyond what this process has."""
    have = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (have + more, have + more))
