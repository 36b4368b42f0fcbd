"""Progress: plain lines where there is no terminal, a bar where there is one."""

import io
import sys

import pytest

from blindsr import progress
from blindsr.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 40.0, 50.0, 60.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Bar("train", total=100, start=20) as bar:
        for count in (10, 30, 20, 20):
            bar.advance(count, "L1 0.1")
    lines = capsys.readouterr().err.splitlines()
    # at 10 s nothing; at 40 s: 40 done since the start, 40 left; at 50 s nothing; the end is always told
    assert lines == ["train: 60/100, 1.0/s, 40 s left L1 0.1", "train: 100/100, 1.3/s, 0 s left L1 0.1"]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar("patches", total=2) as bar:
        bar.advance()
        bar.advance(note="done")
    assert "patches" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


def test_lines_in_between_are_printed_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bar("score", total=2) as bar:
        bar.say("error: [x].png is damaged")
    assert capsys.readouterr().err == "error: [x].png is damaged\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar("score", total=2) as bar:
        bar.say("error: [x].png is damaged")
    assert "error: [x].png is damaged" in terminal.getvalue()
