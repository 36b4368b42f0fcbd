"""`dvc repro` that says where it is: which stage of how many, the time left, and at the end what came out.

DVC runs the stages; this only reads what it prints. Its hints about git and its remarks on stages that are up to
date are left out, and a warning that several stages give is shown once.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from blindsr.apps import side_by_side, verify
from blindsr.config import params
from blindsr.config.params import Params
from blindsr.config.run import Row
from blindsr.runtime import files, lifetime, packages, paths
from blindsr.runtime.errors import Interrupted, UserError

_STARTED = re.compile(r"Running stage '(?P<name>[^']+)':")
_PASSED = re.compile(r"Stage '(?P<name>[^']+)' (?P<how>didn't change|is cached)")
_LEFT_OUT = re.compile(
    r"> blindsr |(Updating|Generating) lock file|To (track the changes|enable auto staging)|\s+git add |"
    r"\s+dvc config core\.autostage|Use `dvc push`|Data and pipelines are up to date"
)
_HELD = (b"Running stage '", b"Stage '", b"> ", b"Updating lock", b"Generating lock", b"To ", b"\t", b"Use `dvc",
         b"Data ", b"WARNING")  # fmt: skip
_SHOWN = {"PSNR mean": "PSNR mean", "cosine": "detail cosine", "- none": "− none", "- bilinear": "− bilinear"}
_WIDE = 108  # columns of the table of results with all it says of a row in one line
_NOTES = Path(".train_state") / "stage_seconds.json"


class Story:
    """What is printed of DVC's output, line by line."""

    def __init__(self, total: Mapping[str, int], known: Mapping[str, float], clock: Callable[[], float]) -> None:
        """Nothing has run yet.

        Args:
            total: Stages by their kind, such as "train".
            known: Seconds that one of each kind took the last time.
            clock: Gives seconds.
        """
        self._total, self._known, self._clock = total, known, clock
        self._count: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._taken: dict[str, list[float]] = {}
        self._running: tuple[str, float] | None = None
        self._warned: set[str] = set()
        self.made = 0

    def line(self, text: str) -> str | None:
        """What is shown of a line without its end; None: nothing."""
        if found := _STARTED.match(text):
            return self._start(found["name"])
        if found := _PASSED.match(text):
            self._end()
            self._see(found["name"])
            cached = found["how"] == "is cached"
            return f"{self._place()} {_title(found['name'])}: from the cache" if cached else None
        if text.startswith("WARNING"):
            new = text not in self._warned
            self._warned.add(text)
            return text if new else None
        return None if _LEFT_OUT.match(text) else text

    def end(self) -> None:
        """The last stage has ended."""
        self._end()

    def beside(self, said: str) -> list[str]:
        """What is shown of the output of another `dvc repro`, which made stages meanwhile: its warnings."""
        for line in said.splitlines():
            if found := _STARTED.match(line):
                self._see(found["name"])
                self.made += 1
        warnings = [line for line in said.splitlines() if line.startswith("WARNING")]
        return [line for line in map(self.line, warnings) if line is not None]

    @property
    def seconds(self) -> dict[str, float]:
        """Mean seconds of a stage of each kind, this time or else the last."""
        return {**self._known, **{kind: sum(own) / len(own) for kind, own in self._taken.items()}}

    def _start(self, name: str) -> str:
        self._end()
        kind = _kind(name)
        left = self._left(kind)
        self._see(name)
        self._running = (kind, self._clock())
        self.made += 1
        return f"{self._place()} {_title(name)}{left}"

    def _see(self, name: str) -> None:
        if name not in self._seen:  # DVC passes again by what was made before
            self._seen.add(name)
            self._count[_kind(name)] += 1

    def _end(self) -> None:
        if self._running:
            kind, began = self._running
            self._taken.setdefault(kind, []).append(self._clock() - began)
            self._running = None

    def _place(self) -> str:
        return f"[{sum(self._count.values())}/{max(sum(self._total.values()), sum(self._count.values()))}]"

    def _left(self, kind: str) -> str:
        """Time left, the stage that starts included: of kinds that were never seen, nothing is known."""
        seconds = self.seconds
        todo = {name: count - self._count[name] for name, count in self._total.items() if count > self._count[name]}
        known = sum(seconds[name] * count for name, count in todo.items() if name in seconds)
        if not known:
            return ""
        about = "about" if todo.keys() <= seconds.keys() else "more than"
        return f", {about} {_duration(known)} left"


def run(arguments: Sequence[str]) -> None:
    """Run `dvc repro`, and show the results.

    Args:
        arguments: Of `dvc repro`.

    Raises:
        UserError: without DVC or a git repository, where a stage failed, and as `verify.run` does.
        Interrupted: after Ctrl-C.
    """
    packages.require("dvc", "`blindsr repro`")
    here = Path.cwd()
    if not any((folder / ".git").exists() for folder in (here, *here.parents)):  # as in an unpacked archive
        raise UserError(f"{here} is no git repository, which DVC needs: run `git init`, then the same command")
    settings = params.read()
    verify.run(quick=True)
    notes = paths.project_root() / _NOTES
    kinds = _totals(yaml.safe_load(files.read_text(Path("dvc.yaml"))), settings.model_dump(mode="json"))
    story, began = Story(kinds, _last_time(notes, settings.profile), time.monotonic), time.monotonic()
    status = _make(settings, arguments, story)
    story.end()
    kept = json.loads(files.read_text(notes)) if notes.is_file() else {}
    if story.made:
        files.write_atomic(notes, json.dumps({**kept, settings.profile: story.seconds}))
    if status:
        raise UserError("a stage failed (see above): what was made is kept, and the same command resumes")
    said = f"{story.made} stages made in {_duration(time.monotonic() - began)}" if story.made else "all up to date"
    _show(said)


def _make(settings: Params, arguments: Sequence[str], story: Story) -> int:
    """Have DVC make all, runs side by side where the machine has room; the exit status of `dvc repro`."""
    command = [sys.executable, "-m", "dvc", "repro"]
    where = [] if arguments else side_by_side.places(settings)
    if len(where) > 1:

        def before(targets: Sequence[str]) -> int:
            status = _follow([*command, *targets], story)
            story.end()
            return status

        def done(said: str) -> None:
            for line in story.beside(said):
                print(line, flush=True)

        if status := side_by_side.make(settings, where, before, done):
            return status
    return _follow([*command, *arguments], story)


def _totals(pipeline: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, int]:
    """How many stages of each kind dvc.yaml makes of the settings."""
    found = {}
    for name, stage in pipeline["stages"].items():
        count = 1
        for values in stage.get("matrix", {}).values():
            count *= len(_setting(settings, values) if isinstance(values, str) else values)
        found[name] = count
    return found


def _setting(settings: Any, reference: str) -> Any:
    for part in reference.removeprefix("${").removesuffix("}").split("."):
        settings = settings[part]
    return settings


def _kind(name: str) -> str:
    return name.split("@")[0]


def _title(name: str) -> str:
    return name.replace("@", " ")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.0f} min"


def _last_time(notes: Path, profile: str) -> dict[str, float]:
    try:
        return {str(kind): float(value) for kind, value in json.loads(files.read_text(notes))[profile].items()}
    except (UserError, OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def _follow(command: Sequence[str], story: Story) -> int:
    """Run a command, and print what the story makes of its output; its exit status.

    On a terminal the command has one, too, so that progress bars stay bars.
    """
    terminal = sys.stdout.isatty()
    if terminal:
        import pty
        import shutil

        reading, writing = pty.openpty()
        size = shutil.get_terminal_size()
        _resize(writing, size.lines, size.columns)
    else:
        reading, writing = os.pipe()
    environment = {**os.environ, **lifetime.started_here()}  # a kill of this process reaches the stage
    with subprocess.Popen(
        command, stdout=writing, stderr=writing, stdin=subprocess.DEVNULL, env=environment
    ) as process:
        os.close(writing)
        try:
            with open(reading, "rb", buffering=0) as output:
                _copy(output, story)
            return process.wait()
        except KeyboardInterrupt:  # which the command has got, too
            process.wait()
            raise Interrupted("stopped by Ctrl-C: what was made is kept, and the same command resumes", 2) from None


def _resize(terminal: int, lines: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def _copy(output: BinaryIO, story: Story) -> None:
    """Print whole lines as the story has them, and of an open line at once what it would not change."""
    pending, shown = b"", False
    while True:
        try:
            chunk = output.read(65536)
        except OSError:  # how a terminal ends whose other side is closed
            chunk = b""
        if not chunk:
            break
        *whole, rest = (pending + chunk).split(b"\n")
        for line in whole:
            text = line.decode(errors="replace").removesuffix("\r")
            made = text if shown else story.line(text)
            if made or shown:  # else an empty line, which stands around what is left out
                print(made, flush=True)
            shown = False
        pending = rest
        if rest and (shown or not any(held.startswith(rest) or rest.startswith(held) for held in _HELD)):
            sys.stdout.buffer.write(rest)
            sys.stdout.flush()
            pending, shown = b"", True
    if pending:
        print(pending.decode(errors="replace"))


def _show(said: str) -> None:
    """The table that matters, where the rest is, and what to do next."""
    console = Console(width=None if sys.stdout.isatty() else 120)  # a file has no width of its own
    narrow = console.width < _WIDE
    table = Table(box=box.SIMPLE if narrow else box.HEAVY_HEAD, pad_edge=not narrow)
    path = paths.REPORTS / "tables" / "headline.csv"
    if path.is_file():
        names = {"backbone": str, "reg": str}  # which may be called nan
        frame = pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])
        columns = {name: title for name, title in _SHOWN.items() if name in frame}
        table.add_column("row", no_wrap=True)
        for title in columns.values():
            table.add_column(title.replace(" ", "\n", 1) if narrow else title, justify="right", no_wrap=True)
        for values in frame.to_dict("records"):
            cells = (_cell(values, name).replace(" ", "\n" if narrow else " ", 1) for name in columns)
            table.add_row(Row(values["backbone"], values["reg"]).name, *cells)
        console.print(table)
        console.print(
            "PSNR in dB, mean of all benchmarks and cases; differences with 95 % intervals; detail cosine: is what a "
            "network adds right?", soft_wrap=True, markup=False, highlight=False
        )  # fmt: skip
    print(f"{said}. The report: {paths.REPORTS / 'report.html'}. Next: `make ui` shows all runs in MLflow,")
    print("`dvc exp run --temp -S reg=rff -S train.iterations=2000` tries something else, `dvc exp show` compares.")


def _cell(values: Mapping[str, Any], name: str) -> str:
    value = values[name]
    if pd.isna(value):
        return ""
    if f"{name}_low" in values:
        return f"{value:+.3f} [{values[f'{name}_low']:+.3f}, {values[f'{name}_high']:+.3f}]"
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"
