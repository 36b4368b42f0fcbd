"""`blindsr repro` makes runs at the same time, through the real DVC, in a project whose stages are stand-ins."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from blindsr.apps import repro, side_by_side
from blindsr.config import params
from blindsr.runtime import parallel
from blindsr.runtime.errors import UserError

RUNS = ("srresnet-none-0", "srresnet-rff-0")


@pytest.fixture
def whole(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with what all need before, the controls, and a stage behind them; two cores, no GPU."""
    pipeline = yaml.safe_load((project / "dvc.yaml").read_text())
    stages: dict[str, Any] = pipeline["stages"]
    stages["fetch"] = {"cmd": "echo fetch > fetch.txt", "outs": ["fetch.txt"]}
    for name in ("patches", "degrade"):
        stages[name]["deps"] = ["fetch.txt"]
    stages["train"]["deps"].append("patches.txt")
    made = "out/evaluate_control-${item.control}"
    stages["evaluate_control"] = {
        "matrix": {"control": ["bicubic", "bilinear"]},
        "cmd": f"{sys.executable} stand_in.py evaluate_control ${{item.control}}",
        "deps": ["degrade.txt"],
        "outs": [made],
    }
    ends = [f"out/{stage}-{run}" for run in RUNS for stage in ("evaluate", "analyse")]
    stages["report"] = {"cmd": "echo report > report.txt", "deps": ends, "outs": ["report.txt"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline))
    (project / ".git").mkdir()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(parallel, "usable_cores", lambda: 2)
    return project


@pytest.mark.slow
def test_runs_are_made_at_the_same_time_and_counted(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    repro.run([])  # each training waits for the other
    said = capfd.readouterr().out
    assert "4 runs, 2 at a time" in said
    assert "[12/12] report" in said
    assert "12 stages made in" in said
    assert (whole / "report.txt").is_file()
    for name in (*(f"{stage}-{run}" for stage in ("train", "evaluate", "analyse") for run in RUNS),
                 "evaluate_control-bicubic", "evaluate_control-bilinear"):  # fmt: skip
        assert (whole / "out" / name).is_file()
    repro.run([])
    said = capfd.readouterr().out
    assert "all up to date" in said
    assert "at a time" not in said


@pytest.mark.slow
def test_what_is_stale_behind_a_stale_stage_is_made_with_it(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    repro.run([])
    (whole / "how").write_text("go")  # of both trainings
    (whole / "stand_in.py").write_text((whole / "stand_in.py").read_text().replace('"made"', '"made again"'))
    capfd.readouterr()
    repro.run([])
    said = capfd.readouterr().out
    assert "2 runs, 2 at a time" in said
    assert "7 stages made in" in said  # the controls stay
    assert (whole / "out" / f"analyse-{RUNS[1]}").read_text() == "made again"


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_are_made(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (whole / "how").write_text("fail")
    with pytest.raises(UserError, match="1 of 4 runs failed: srresnet-rff-0; their logs are in"):
        repro.run([])
    said = capfd.readouterr()
    assert "srresnet-rff-0: failed (error: this run fails)" in said.err
    assert (whole / "out" / f"analyse-{RUNS[0]}").is_file()
    assert not (whole / "report.txt").exists()


def test_what_all_need_is_made_first_and_its_failure_ends_it(whole: Path) -> None:
    text = (whole / "dvc.yaml").read_text()
    (whole / "dvc.yaml").write_text(text.replace("echo patches >", "exit 3; echo patches >"))
    with pytest.raises(UserError, match="a stage failed"):
        repro.run([])
    assert not (whole / "out").exists()


@pytest.mark.parametrize(("cores", "arguments"), [(1, []), (2, ["train@srresnet-none-0"])])
def test_one_core_or_arguments_leave_all_to_dvc(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], cores: int, arguments: list[str]
) -> None:
    (whole / "how").write_text("go")
    monkeypatch.setattr(parallel, "usable_cores", lambda: cores)
    repro.run(arguments)
    assert "at a time" not in capfd.readouterr().out
    assert (whole / "out" / f"train-{RUNS[0]}").is_file()
    assert (whole / "report.txt").is_file() == (not arguments)


@pytest.mark.parametrize(
    ("gpus", "cores", "places"),
    [("", 2, [None] * 2), ("", 64, [None] * 4), ("3", 64, ["3"]), ("3,5", 64, ["3", "5"])],
)
def test_there_are_as_many_places_as_gpus_or_cores(
    whole: Path, monkeypatch: pytest.MonkeyPatch, gpus: str, cores: int, places: list[str | None]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    monkeypatch.setattr(parallel, "usable_cores", lambda: cores)
    assert side_by_side.places(params.read()) == places
