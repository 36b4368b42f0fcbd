"""Progress: plain lines where there is no terminal, a bar where there is one."""

import io
import re
import sys

import pytest

from blindsr.runtime import progress
from blindsr.runtime.progress import Bar


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


def test_slow_pieces_have_a_rate_per_minute(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Bar("runs", total=8) as bar:
        bar.advance()
    assert capsys.readouterr().err == "runs: 1/8, 1.5/min, 280 s left\n"


def test_before_the_first_piece_there_is_no_rate(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Bar("upscale", total=2) as bar:
        bar.advance(0, "a.jpg: tile 1 of 9")
    assert capsys.readouterr().err == "upscale: 0/2 a.jpg: tile 1 of 9\n"


def test_the_note_stays_until_the_next_one_and_quiet_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 2.0, 0.0, 1.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Bar("train", total=2) as bar:
        bar.advance(note="L1 0.1")
        bar.advance()
    assert capsys.readouterr().err == "train: 2/2, 1.0/s, 0 s left L1 0.1\n"
    with Bar("train", total=1, quiet=True) as bar:
        bar.advance()
    assert capsys.readouterr().err == ""


def test_the_pace_is_measured_over_seconds_and_follows_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 2.0, 2.5, 4.5])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    pace = progress.Pace(images=16)
    assert pace.after("", waited=0.3) == ""  # too early
    assert (
        pace.after("", waited=0.5) == "16 images/s 25% data wait"
    )  # two iterations in two seconds, half of one waited
    assert pace.after("L1 0.1", waited=0.5) == "L1 0.1 32 images/s 0% data wait"
    assert pace.after("L1 0.1", waited=1.5) == "L1 0.1 8 images/s 50% data wait"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar("patches", total=2) as bar:
        bar.advance()
        bar.advance(note="done")
    assert "patches" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_narrow_terminal_shows_all_that_a_wide_one_shows(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Done and total, rate, time left, loss terms, images per second, data wait."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    clock = iter(range(1000))
    monkeypatch.setattr("rich.console.monotonic", lambda: float(next(clock)))
    note = "L1 0.0812 penalty 1.23e-05 160 images/s 3% data wait"
    with Bar("srresnet-rff-0", total=500000) as bar:
        for _ in range(3):
            bar.advance(1000, note=note)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue()).splitlines()
    assert shown[-1] == note
    assert re.fullmatch(r"srresnet-rff-0 .* 3000/500000 \d+\.\d/s \d+:\d\d:\d\d", shown[-2])


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
