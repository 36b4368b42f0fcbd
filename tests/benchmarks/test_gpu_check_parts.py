"""The parts of the GPU check as they run on a GPU, with workers that only pretend to measure."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_check import children, part_profile, part_speed, part_training, side_by_side
from benchmarks.gpu_check.children import Child
from benchmarks.gpu_check.context import Context
from benchmarks.gpu_check.journal import Journal

PRETENDED = """
import json, os, sys
task, settings = sys.argv[1], json.loads(sys.argv[2])
def say(**message):
    print(json.dumps(message), flush=True)
for job in settings.get("jobs", []):
    if job.get("reg") == "dropout" or job.get("mode") == os.environ.get("FAILS", "-"):
        say(job=job, error="RuntimeError: CUDA error: no")
        say(stopped=True)
        sys.exit(1)
    if job.get("backbone") == "rrdb":
        os.kill(os.getpid(), 11)
    if job["job"] == "step":
        say(job=job, result=dict(per_second=100.0, slowest=99.0, fastest=101.0, peak_gib=1.0, reserved_gib=2.0,
                                 ready_s=1.0))
    if job["job"] == "loader":
        say(job=job, result=dict(per_second=90.0, wait_share=0.01))
    if job["job"] == "synthesis":
        say(job=job, result=dict(batches_per_second=9.0, together=4, read_ms=1.0, launch_ms=2.0, whole_ms=3.0,
                                 device_ms=2.5, launches=240.0, top=["50 % blur"]))
    if job["job"] == "profile":
        spec = dict(step_ms=2.0, profiled_ms=3.0, tflop=0.2, tflop_per_second=100.0, idle_share=0.5, matrix_share=0.7,
                    launches=300.0, top=["50 % conv"])
        say(job=job, result=dict(specs=[dict(spec=job["specs"][0], **spec), dict(spec=job["specs"][1], error="no")],
                                 trace_mib=None, device=dict(bf16_tflop_per_second=700.0, copy_gb_per_second=2600.0)))
if task == "side":
    if settings["spec"]["reg"] == os.environ.get("DIES"):
        sys.exit("it broke")
    say(ready=True)
    assert os.read(0, 10)
    say(result=dict(per_second=50.0 + len(settings["spec"]["reg"]), wait_share=0.02, steps=9), spec=settings["spec"])
if task == "train":
    reg, row = settings["reg"], dict(benchmark="Set5", case="clean", image="a", psnr_db=30.0, bicubic_db=29.0,
                                     psnr_best_db=31.0, detail_cosine=0.5, detail_amplitude=0.5)
    say(reg=reg, point=dict(iteration=settings["log_every"], l1=0.1))
    for iteration in settings["scored"]:
        say(reg=reg, scores=[dict(row, iteration=iteration)])
        open(f"{settings['folder']}/srresnet-{reg}-0.safetensors", "w").write("weights")
        if reg == "rff":
            __import__("time").sleep(600)
    say(reg=reg, done=True, seconds=10.0, scoring=1.0)
"""


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    def worker(task: str, **settings: Any) -> Child:
        return Child(["-c", PRETENDED, task, json.dumps(settings)])

    for module in (part_profile, part_speed, part_training, side_by_side):
        monkeypatch.setattr(module, "worker", worker)
    prepared = {"store": "store", "images": {"Set5": "images"}}
    (tmp_path / "work").mkdir()
    journal = Journal(tmp_path / "out", "Check")
    return Context(journal, tmp_path / "work", None, False, True, "NVIDIA H100 80GB HBM3", 16, prepared)


def said(context: Context, part: str) -> dict[str, bool]:
    """Line -> whether it is a failure."""
    report = json.loads((context.journal.folder / "report.json").read_text())
    return {line["text"]: line["failed"] for line in report["parts"][part]["lines"]}


def test_speed_goes_on_behind_failures(context: Context) -> None:
    """Dropout's steps end their worker, RRDB's kill it."""
    part_speed.run(context, time.time() + 120)
    lines = said(context, "speed")
    text = "\n".join(lines)
    assert lines["FAILED: srresnet dropout bf16 graph: RuntimeError: CUDA error: no"]
    assert "FAILED: rrdb none bf16 graph: killed by SIGSEGV" in text
    assert not lines["swinir none bf16 graph: 100 it/s, 1.00 GiB, 1.39 h for 500k, ready after 1.0 s"]
    assert not lines[
        "loader srresnet rff bf16 graph: 90 it/s on real batches, 1.0% of the time waiting for data (8 workers)"
    ]
    assert "4 side by side (none, dropout, two_views, rff): 223 it/s in all, 53 the slowest" in text
    assert "2 side by side (rff, rff): 106 it/s in all" in text
    assert "srresnet rff bf16 compile+graph: 100 it/s" in text
    assert "target under 5 % of the time waiting for data: 1.0%, met" in text
    assert context.side_rate == 53


def test_a_mode_that_never_works_is_given_up(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two steps launched by Python, of the first batch, fail alike: those of the other networks are left out."""
    monkeypatch.setenv("FAILS", "eager")
    part_speed.run(context, time.time() + 120)
    left_out = "msrn none bf16 eager, rrdb none bf16 eager, swinir none bf16 eager"
    assert said(context, "speed")[f"FAILED: left out, since their mode fails: {left_out}"]


def test_one_that_dies_before_the_start_ends_the_others(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIES", "dropout")
    side_by_side.measure(context, 4, time.time() + 600)
    assert said(context, "speed") == {"FAILED: 4 side by side: it broke": True}
    assert context.side_rate is None
    assert not children._alive


def test_the_profile_says_what_bounds_and_what_failed(context: Context) -> None:
    part_profile.run(context, time.time() + 60)
    lines = said(context, "profile")
    reached = "this device reaches 700 TFLOP/s (70.8% of the dense bf16 peak of 989) in a bf16 product"
    assert not lines[f"{reached} of 8192² matrices and 2600 GB/s in a copy"]
    assert any(line.startswith("SRResNet rff bf16 eager: bound by launches: 2 ms a step") for line in lines)
    assert lines["FAILED: SRResNet rff bf16 graph: no"]
    assert lines["FAILED: trace.json.gz would be too large"]


def test_training_is_as_long_as_the_slowest_has_time_for(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 it/s · (75 - 15 - 20) s · 0.85 are 3,400 iterations, in 64 equal parts 3,392; rff is cut off, and kept."""
    context.side_rate = 100.0
    log_every, points = part_training._length(context, time.time() + 75)
    assert (log_every, points) == (53, 64)
    monkeypatch.setattr(part_training, "_START", 0)
    monkeypatch.setattr(part_training, "_SCORING", 0)
    part_training.run(context, time.time() + 4)
    lines = said(context, "training")
    text = "\n".join(lines)
    assert re.search(r"two_views: (\d+) iterations in 10.0 s, .* it/s beside the others, 1.0 s of scoring", text)
    assert "FAILED: rff: out of time, after " in text
    assert sum(lines.values()) == 1
    assert "weights.zip: 4 networks" in text
    scores = (context.journal.folder / "scores.csv").read_text().splitlines()
    assert len(scores) == 1 + 3 * 4 + 1


def test_training_without_time_is_an_error(context: Context) -> None:
    context.side_rate = 100.0
    with pytest.raises(ValueError, match="no time is left"):
        part_training.run(context, time.time() + 20)
