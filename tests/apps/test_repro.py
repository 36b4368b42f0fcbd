"""What `blindsr repro` shows of DVC's output, by hand."""

import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blindsr.apps import repro
from blindsr.apps.repro import Story
from blindsr.runtime import lifetime
from blindsr.runtime.errors import UserError

OUTPUT = """\
'data/own.dvc' didn't change, skipping
Stage 'fetch' didn't change, skipping
Running stage 'train@srresnet-none-0':
> blindsr train srresnet none 0
WARNING: no LPIPS
train: 10 of 20
Updating lock file 'dvc.lock'

Running stage 'train@srresnet-rff-0':
> blindsr train srresnet rff 0
WARNING: no LPIPS
Stage 'evaluate@srresnet-none-0' is cached - skipping run, checking out outputs
Running stage 'report':
> blindsr report

To track the changes with git, run:

\tgit add dvc.lock

To enable auto staging, run:

\tdvc config core.autostage true
Use `dvc push` to send your updates to remote storage.
"""
TOTAL = {"fetch": 1, "train": 2, "evaluate": 2, "report": 1}


def clock(*times: float) -> Iterator[float]:
    yield from times


def story(*times: float, **known: float) -> Story:
    ticks = clock(*times)
    return Story(TOTAL, known, lambda: next(ticks))


def test_stages_are_counted_hints_left_out_and_warnings_given_once() -> None:
    mine = story(0, 60, 60, 150, 150)
    shown = [text for text in map(mine.line, OUTPUT.splitlines()) if text]
    assert shown == [
        "'data/own.dvc' didn't change, skipping",
        "[2/6] train srresnet-none-0",
        "WARNING: no LPIPS",
        "train: 10 of 20",
        "[3/6] train srresnet-rff-0, more than 60 s left",
        "[4/6] evaluate srresnet-none-0: from the cache",
        "[5/6] report",
    ]
    assert mine.made == 3


def test_the_time_left_is_that_of_all_stages_once_every_kind_is_known() -> None:
    mine = story(0, 100, 100, 100, train=300.0, evaluate=10.0, report=7.0, fetch=1.0)
    assert mine.line("Running stage 'fetch':") == "[1/6] fetch, about 10 min left"  # 1 + 2·300 + 2·10 + 7 s
    assert mine.line("Running stage 'train@a-b-0':") == "[2/6] train a-b-0, about 10 min left"
    mine.line("Stage 'train@a-c-0' didn't change, skipping")
    assert mine.seconds == {"train": 0.0, "evaluate": 10.0, "report": 7.0, "fetch": 100.0}


def test_what_another_command_has_made_is_counted_once_and_its_warnings_are_shown() -> None:
    mine = story(0, 1)
    said = "Stage 'fetch' is cached - skipping run\nRunning stage 'train@a-b-0':\nWARNING: no LPIPS\nhello"
    assert mine.beside(said) == ["WARNING: no LPIPS"]
    assert mine.beside(said.replace("b-0", "c-0")) == []
    assert mine.made == 2
    mine.line("Stage 'train@a-b-0' didn't change, skipping")
    assert mine.line("Running stage 'report':") == "[3/6] report"


def test_totals_are_the_products_of_the_matrix() -> None:
    pipeline = {
        "stages": {
            "fetch": {"cmd": "x"},
            "train": {"matrix": {"backbone": "${backbone.names}", "seed": "${seeds}"}},
            "evaluate_control": {"matrix": {"name": ["bicubic", "bilinear"]}},
        }
    }
    settings = {"backbone": {"names": ["a", "b"]}, "seeds": [0, 1, 2]}
    assert repro._totals(pipeline, settings) == {"fetch": 1, "train": 6, "evaluate_control": 2}


@pytest.mark.parametrize("cut", [1, 7, 40, 10**6])
def test_pieces_of_any_length_give_the_same_lines(cut: int, capfd: pytest.CaptureFixture[str]) -> None:
    class Pieces(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(cut)

    mine = story(*range(20))
    repro._copy(Pieces(OUTPUT.encode()), mine)
    shown = capfd.readouterr().out.splitlines()
    assert shown[1:4] == ["[2/6] train srresnet-none-0", "WARNING: no LPIPS", "train: 10 of 20"]
    assert len(shown) == 7


def test_a_progress_bar_is_shown_before_its_line_ends(capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\rtrain 10 %")
    with open(reading, "rb", buffering=0) as output:
        seen = []

        class Spy:
            def read(self, size: int) -> bytes:
                if not seen:
                    seen.append("")
                    return output.read(size)
                seen.append(capfd.readouterr().out)
                os.close(writing) if len(seen) == 2 else None
                return output.read(size)

        repro._copy(Spy(), story())
    assert seen[1] == "\rtrain 10 %"


def test_the_status_is_that_of_the_command(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('Running stage \\'report\\':'); print('hello', file=sys.stderr); sys.exit(3)"
    assert repro._follow([sys.executable, "-c", code], story(0, 1)) == 3
    assert sorted(capfd.readouterr().out.splitlines()) == ["[1/6] report", "hello"]


def test_stages_know_whom_they_end_with(capfd: pytest.CaptureFixture[str]) -> None:
    show = "import os; print(os.environ['BLINDSR_STARTED_BY'])"
    assert repro._follow([sys.executable, "-c", show], story()) == 0
    assert capfd.readouterr().out.strip() in lifetime.started_here().values()


@pytest.mark.needs("dvc")
def test_an_unpacked_archive_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is no git repository, which DVC needs: run `git init`"):
        repro.run([])


@pytest.mark.parametrize(("columns", "terminal"), [(80, True), (200, True), (80, False)])
def test_no_number_of_the_table_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, terminal: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(repro.sys.stdout, "isatty", lambda: terminal)
    (tmp_path / "reports" / "tables").mkdir(parents=True)
    names = [f"{name}{end}" for name in ("- none", "- bilinear") for end in ("", "_low", "_high")]
    row = "srresnet,none_rescaled,24.51,0.1,-0.127,-0.311,0.028,0.25,-0.5,1"
    text = f"backbone,reg,PSNR mean,cosine,{','.join(names)}\n{row}\n"
    (tmp_path / "reports" / "tables" / "headline.csv").write_text(text)
    repro._show("Done")
    table = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out.split("PSNR in dB, mean")[0])
    assert "…" not in table
    for shown in ("srresnet-none_rescaled", "24.51", "[-0.311, +0.028]", "[-0.500, +1.000]"):
        assert shown in table
    assert max(map(len, table.splitlines())) <= (columns if terminal else 120)


def test_a_regularizer_may_be_called_what_looks_like_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports" / "tables").mkdir(parents=True)
    (tmp_path / "reports" / "tables" / "headline.csv").write_text("backbone,reg,PSNR mean\nnull,nan,24.5\nrrdb,NA,\n")
    repro._show("Done")
    shown = capsys.readouterr().out
    assert "null-nan" in shown
    assert "rrdb-NA" in shown
    assert "24.50" in shown
