"""The pieces of the GPU check, on made-up numbers with known answers."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu_check import (
    children,
    part_profile,
    part_training,
    settings,
    speed_tables,
    work_profile,
    work_score,
)
from benchmarks.gpu_check.clock import Clock
from benchmarks.gpu_check.journal import Journal
from benchmarks.gpu_check.spec import Spec
from blindsr.config import conf

ROOT = Path(__file__).resolve().parents[2]


def test_settings_are_those_that_hydra_composes() -> None:
    assert settings.compose() == conf.compose(ROOT / "conf", ["profile=paper"])


def test_small_settings_keep_the_rest_of_the_paper_s() -> None:
    small, paper = settings.params(True), settings.params(False)
    assert small.train.batch < paper.train.batch
    assert small.degradation == paper.degradation
    assert settings.training(False, "bf16", iterations=7).iterations == 7


def test_the_check_itself_imports_neither_torch_nor_the_pipeline() -> None:
    """So a failed device cannot reach it, and a bare machine is enough."""
    heavy = ("torch", "hydra", "omegaconf", "dvc", "mlflow", "sklearn", "skimage", "lpips")
    code = f"import sys, benchmarks.gpu_check.__main__\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_part_leaves_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of 0.20 and 0.37: of 100 s, without the 3 at the end, the first has 97 · 0.20 / 0.57."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    clock = Clock(100, ["tests", "training"])
    assert clock.deadline("tests") == pytest.approx(1000 + 97 * 0.20 / 0.57)
    now[0] += 10
    assert clock.deadline("training") == pytest.approx(1097)
    now[0] += 200
    assert clock.deadline("training") == now[0]
    assert clock.elapsed == 210


def test_the_journal_is_on_disk_after_each_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path, "Check")
    journal.machine({"GPU": "none"})
    journal.line("speed", "two it/s", per_second=2.0)
    journal.line("speed", "no memory", failed=True)
    journal.table("speed", "Rates", [{"a": 1.23456789, "b": None}, {"a": "x", "c": 3}])
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["parts"]["speed"]["lines"][0] == {"text": "two it/s", "failed": False, "per_second": 2.0}
    text = (tmp_path / "report.md").read_text()
    assert "- FAILED: no memory" in text
    assert "| a | b | c |\n|---|---|---|\n| 1.2346 |  |  |\n| x |  | 3 |" in text
    assert "[speed] two it/s" in capsys.readouterr().out
    assert journal.failures == 1
    journal.csv("rows.csv", [{"a": 1, "b": 0.5}, {"c": None}])
    assert (tmp_path / "rows.csv").read_text() == "a,b,c\n1,0.5,\n,,\n"


def test_a_child_s_messages_come_through_and_its_end_is_explained() -> None:
    code = "import sys\nprint('noise')\nprint('{\"a\": 1}')\nprint('[1]')\nsys.exit('it broke')"
    child = children.Child(["-c", code])
    assert [message for _, message in children.messages([child], time.time() + 60)] == [{"a": 1}]
    assert child.problem() == "it broke"
    assert not child.cut


def test_a_child_that_takes_too_long_is_killed_with_its_helpers(tmp_path: Path) -> None:
    """The helper holds a pipe open, which ends when it dies: a read would wait for it if it lived on."""
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    helper = f"import time; held = open({str(tmp_path / 'pipe')!r}, 'w'); print('up', flush=True); time.sleep(600)"
    code = f"""
import json, subprocess, sys
helper = subprocess.Popen([sys.executable, "-c", {helper!r}], stdout=subprocess.PIPE)
helper.stdout.readline()
print(json.dumps({{"pid": helper.pid}}), flush=True)
helper.wait()
"""
    child = children.Child(["-c", code])
    list(children.messages([child], time.time() + 3))
    assert child.cut
    assert child.problem() == "out of time"
    os.set_blocking(pipe, True)
    assert os.read(pipe, 1) == b""
    os.close(pipe)


def step(its: float, **spec: str) -> speed_tables.Result:
    return {"job": "step", "seconds": 1, **spec}, {"per_second": its, "slowest": its, "fastest": its, "peak_gib": 1.5,
                                                   "reserved_gib": 2.0, "ready_s": 3.0}  # fmt: skip


def test_hours_shares_and_targets_of_speed() -> None:
    """500k iterations at 100 it/s are 5000 s; rff's 80 beside 100 of two views are a fifth of a step."""
    results = [step(80, reg="rff"), step(100, reg="two_views"), step(200), step(190, reg="dropout", mode="eager")]
    assert speed_tables.hours_of(100) == pytest.approx(5000 / 3600)
    assert speed_tables.hours(results) == [
        {
            "backbone": "srresnet",
            "rff": pytest.approx(6250 / 3600),
            "two_views": pytest.approx(5000 / 3600),
            "none": pytest.approx(2500 / 3600),
        }
    ]
    assert speed_tables.shares(results) == [
        "srresnet rff bf16 graph: the regularizer takes 20.0% of a step (beside two_views)"
    ]
    loader = {"job": "loader", "reg": "rff", "workers": 2}, {"per_second": 100.0, "wait_share": 0.06}
    assert speed_tables.targets([*results, loader]) == [
        "target 150 it/s of SRResNet in bf16, moonshot 400: 200 (srresnet none bf16 graph), met",
        "target under 5 % of the time waiting for data: 6.0%, MISSED",
        "target 500k iterations in 60 min, moonshot 25: 83, MISSED",
    ]
    assert speed_tables.rows(results)[3]["mode"] == "eager"
    told = speed_tables.told(*results[1], small=False)
    assert told == "srresnet two_views bf16 graph: 100 it/s, 1.50 GiB, 1.39 h for 500k, ready after 3.0 s"
    assert str(Spec(channels_last=False, free=True)) == "srresnet none bf16 graph channels_last off any algorithm"


def test_time_that_is_covered_by_kernels_of_several_streams() -> None:
    """[0, 10] and [5, 12] overlap, [20, 21] is alone: 13 of 21 µs."""
    events = [{"ts": 5.0, "dur": 7.0}, {"ts": 0.0, "dur": 10.0}, {"ts": 20.0, "dur": 1.0}]
    assert work_profile.covered(events) == 13


@pytest.mark.parametrize(
    ("idle", "matrix", "bound"), [(0.4, 0.9, "launches"), (0.1, 0.7, "arithmetic"), (0.1, 0.3, "memory")]
)
def test_what_bounds_a_step(idle: float, matrix: float, bound: str) -> None:
    spec = {"step_ms": 2.0, "tflop_per_second": 98.9, "launches": 300.0, "idle_share": idle, "matrix_share": matrix}
    text = part_profile.verdict(spec, 989)
    assert text.startswith(f"bound by {bound}: 2 ms a step, 98.9 TFLOP/s (10.0% of the dense bf16 peak of 989)")
    assert "nothing is said" in part_profile.verdict(spec | {"idle_share": None}, None)


def test_the_parts_of_a_gain_make_it_up_again() -> None:
    """psnr = bicubic - 10 log10(1 - 2 g c + g²), and c = 0.6, g = 0.5 by hand: R = 3 along D = 10, 4 across."""
    hr, lr = np.full((12, 16, 3), 110, np.uint8), np.full((3, 4, 3), 100, np.uint8)
    sr = np.full((12, 16, 3), 103, np.uint8)
    sr[::2, :, :] += np.uint8(4)
    sr[1::2, :, :] -= np.uint8(4)
    found = work_score.values(sr, hr, lr)
    assert found["detail_cosine"] == pytest.approx(0.6)
    assert found["detail_amplitude"] == pytest.approx(0.5)
    assert found["bicubic_db"] == pytest.approx(20 * math.log10(25.5))
    assert found["psnr_db"] == pytest.approx(found["bicubic_db"] - 10 * math.log10(1 - 0.6 + 0.25))
    assert found["psnr_best_db"] == pytest.approx(found["bicubic_db"] - 10 * math.log10(0.64))
    assert work_score.values(np.full_like(hr, 100), hr, lr)["detail_cosine"] is None


def test_bicubic_of_the_suite_is_that_of_the_tables(real_data: Path) -> None:
    """Set5 under clean and blur, and under noise up to its draws."""
    images = work_score.Suite({"Set5": real_data / "benchmarks" / "Set5"}, small=False).images
    assert len(images) == 5
    for case, wanted, bound in (("clean", 26.69, 0.02), ("blur", 24.89, 0.02), ("noise", 22.10, 0.05)):
        found = [work_score.values(one.hr, one.hr, one.lr[case])["bicubic_db"] for one in images]
        assert np.mean(found) == pytest.approx(wanted, abs=bound)


def test_means_weight_benchmarks_alike() -> None:
    """Two images of one set (1 and 3) and one of another (10): (2 + 10) / 2."""
    rows = [
        {"regularizer": "none", "iteration": 8, "benchmark": name, "psnr_db": value, "bicubic_db": 1.0,
         "psnr_best_db": 2.0, "detail_cosine": None, "detail_amplitude": 0.0}
        for name, value in (("a", 1.0), ("a", 3.0), ("b", 10.0))
    ]  # fmt: skip
    (row,) = part_training.table(rows)
    assert row == {"iterations": 8, "regularizer": "none", "psnr_db": 6.0, "bicubic_db": 1.0, "psnr_best_db": 2.0,
                   "detail_cosine": None, "detail_amplitude": 0.0}  # fmt: skip
