"""Progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from blindsr.runtime import escaping

_LINE_EVERY = 30.0  # seconds between plain lines
_NOTE_EVERY = 2.0  # seconds over which a pace is measured


def _rate(per_second: float) -> str:
    """Such as "3.0/s", or "1.5/min" of what takes longer than ten seconds."""
    return f"{per_second:.1f}/s" if per_second >= 0.1 else f"{60 * per_second:.1f}/min"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(_rate(task.speed) if task.speed else "-/s")


class _Noted(Progress):
    """With the notes below, where a narrow terminal has room for them beside nothing else."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(task.fields["note"], overflow="fold") for task in self.tasks if task.fields["note"])


class Bar:
    """Counts `total` pieces of work: `with Bar("train", total=480) as bar: bar.advance()`."""

    def __init__(self, label: str, total: int, start: int = 0, *, quiet: bool = False) -> None:
        """Nothing is shown yet.

        Args:
            label: What is done, in front of the bar.
            total: Pieces of work in all.
            start: Pieces that are done already; they do not count for the rate.
            quiet: Show nothing but what `say` prints.
        """
        self._quiet, self._note = quiet, ""
        self._label, self._total, self._start, self._done = label, total, start, start
        self._began = self._spoke = time.monotonic()
        self._rich: Progress | None = None
        if sys.stderr.isatty() and not quiet:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None, table_column=Column(ratio=1)),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
            )
            self._rich = _Noted(*columns, console=Console(stderr=True), expand=True)
            self._task = self._rich.add_task(label, total=total, completed=start, note="")

    def __enter__(self) -> Self:
        if self._rich:
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich:
            self._rich.stop()

    def say(self, line: str) -> None:
        """Print a line to stderr, above the bar where there is one."""
        line = escaping.terminal(line)
        if self._rich:
            self._rich.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count pieces that are done.

        Args:
            count: How many more.
            note: Stands below the bar, or behind the line, until the next one, such as the loss; "": the last one
                stays.
        """
        self._done += count
        self._note = note or self._note
        if self._rich:
            self._rich.update(self._task, advance=count)
            if note:
                self._rich.update(self._task, note=note)
            return
        now = time.monotonic()
        if not self._quiet and (now - self._spoke >= _LINE_EVERY or self._done >= self._total):
            self._spoke = now
            rate = (self._done - self._start) / max(now - self._began, 1e-9)
            left = f", {_rate(rate)}, {(self._total - self._done) / rate:.0f} s left" if rate else ""
            print(
                f"{self._label}: {self._done}/{self._total}{left} {self._note}".rstrip(),
                file=sys.stderr,
                flush=True,
            )


class Pace:
    """What a training's note says beside the loss: images per second, and the share of the time lost on data."""

    def __init__(self, images: int) -> None:
        """`images` are those of one iteration. The clock starts at once."""
        self._images = images
        self._began, self._count, self._waited, self._shown = time.monotonic(), 0, 0.0, ""

    def after(self, loss: str, waited: float) -> str:
        """Write the note after one more iteration.

        Args:
            loss: The newest loss terms, as text.
            waited: Seconds in all that the network had no data.

        Returns:
            The note; "" if it is not yet time for a new one.
        """
        self._count += 1
        now = time.monotonic()
        elapsed = now - self._began
        if elapsed < _NOTE_EVERY and loss == self._shown:
            return ""
        rate, share = self._count * self._images / max(elapsed, 1e-9), (waited - self._waited) / max(elapsed, 1e-9)
        self._began, self._count, self._waited, self._shown = now, 0, waited, loss
        return f"{loss} {rate:.0f} images/s {share:.0%} data wait".strip()
