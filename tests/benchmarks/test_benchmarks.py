"""Every benchmark runs, at tiny sizes, and its two implementations agree. Times are not looked at."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks import measure, report
from benchmarks.measure import Bound, Check, Result


@pytest.fixture(autouse=True)
def _same_threads_afterwards() -> None:
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", command.TOPICS)
def test_the_two_implementations_agree(name: str) -> None:
    results: list[Result] = command.TOPICS[name](True)
    assert results
    for result in results:
        assert result.topic == name
        assert all(sample > 0 for sample in result.samples)
        for check in result.checks:
            assert check.passed, f"{result.what}: {check}"


def test_one_that_breaks_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reason and status 1; nothing is written as if it were a whole run."""

    def broken(quick: bool) -> list[Result]:
        raise KeyError("no such setting")

    monkeypatch.setattr(command, "TOPICS", {"usm": broken, "jpeg": lambda quick: [row([2.0])]})
    written: list[object] = []
    monkeypatch.setattr(report, "write", written.append)
    done = CliRunner().invoke(command.app, ["--write"])
    assert done.exit_code == 1
    assert "usm: KeyError: 'no such setting'" in done.output
    assert "row | 2 x" in done.output
    assert not written


def test_every_file_of_the_folder_is_run() -> None:
    machinery = {"__init__", "__main__", "measure", "inputs", "report", "patch_store"}  # the last is run on a folder
    found = {path.stem for path in Path(command.__file__).parent.glob("*.py")} - machinery
    assert found == set(command.TOPICS)


def test_files_are_short() -> None:
    for path in Path(command.__file__).parent.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 200, path


def row(samples: list[float], target: Bound | None = None, checks: tuple[Check, ...] = ()) -> Result:
    return Result("kernels", "row", samples, "x", target, "plain 2 ms, ours 1 ms", checks)


def test_median_quartiles_and_verdict() -> None:
    result = row([1.0, 9.0, 2.0, 3.0, 4.0], Bound(">=", 3))
    assert (result.value, result.spread, result.verdict) == (3.0, (2.0, 4.0), "PASS")
    assert row([2.9], Bound(">=", 3)).verdict == "FAIL"
    assert row([1.0]).verdict == "-"
    assert not Bound("<=", 1).holds(float("nan"))


def test_rounds_are_interleaved_after_one_to_warm_up() -> None:
    calls: list[str] = []
    functions: list[Callable[[], object]] = [lambda: calls.append("a"), lambda: calls.append("b")]
    seconds = measure.interleave(3, *functions)
    assert calls == ["a", "b"] * 4
    assert seconds.shape == (2, 3)
    assert (seconds > 0).all()


@pytest.mark.parametrize(("seconds", "text"), [(2.0, "2 s"), (0.01234, "12.3 ms"), (4.5e-6, "4.5 µs")])
def test_durations(seconds: float, text: str) -> None:
    assert measure.duration(seconds) == text


def test_table_holds_value_target_and_check(tmp_path: Path) -> None:
    report.write([row([2.0], Bound(">=", 8), (Check("max difference", 0.5, Bound("<=", 1)),))], tmp_path / "R.md")
    text = (tmp_path / "R.md").read_text()
    assert "| 2 x | 2 to 2 | >= 8 x | FAIL | plain 2 ms, ours 1 ms | max difference 0.5 (<= 1: ok) |" in text
    assert "[RESULTS-GPU.md](RESULTS-GPU.md) has what was measured" in text


def test_a_failed_check_is_an_error_and_a_missed_target_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    missed, wrong = row([1.0], Bound(">=", 8)), row([9.0], None, (Check("max difference", 2.0, Bound("<=", 1)),))
    for result, status in ((missed, 0), (wrong, 1)):
        monkeypatch.setitem(command.TOPICS, "kernels", lambda quick, result=result: [result])
        assert CliRunner().invoke(command.app, ["kernels"]).exit_code == status


def test_wrong_calls_are_refused() -> None:
    for arguments, message in ((["nothing"], "no benchmark 'nothing'"), (["--write", "--quick"], "one whole run")):
        outcome = CliRunner().invoke(command.app, arguments, env={"COLUMNS": "200"})
        assert outcome.exit_code == 2
        assert message in outcome.output
