"""The whole GPU check at small sizes, as a user starts it: to its end, with a part that fails, and without time."""

import csv
import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from blindsr.model import weight_files

ROOT = Path(__file__).resolve().parents[2]
PARTS = ["tests", "speed", "profile", "training"]


def check(out: Path, *arguments: str, status: int) -> dict[str, Any]:
    """Run it to its end; what report.json holds."""
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--small", "--out", str(out), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stdout + done.stderr
    report = json.loads((out / "report.json").read_text())
    for name in [*report["parts"], *(line["text"] for part in report["parts"].values() for line in part["lines"])]:
        assert name in done.stdout
        assert name in (out / "report.md").read_text()
    return report


def lines(report: dict[str, Any], part: str, failed: bool = False) -> list[str]:
    return [line["text"] for line in report["parts"][part]["lines"] if line["failed"] == failed]


@pytest.mark.slow
def test_it_runs_to_its_end_and_leaves_what_it_promises(tmp_path: Path) -> None:
    report = check(tmp_path, status=0)
    assert list(report["parts"]) == ["machine", *PARTS]
    assert not any(lines(report, part, failed=True) for part in PARTS)
    assert report["machine"]["GPU"] == "none"
    assert "no NVIDIA GPU is here" in lines(report, "machine")[0]
    names = {"report.md", "report.json", "trace.json.gz", "curves.csv", "scores.csv", "weights.zip"}
    assert {path.name for path in tmp_path.iterdir()} == names

    counts = report["parts"]["tests"]["lines"][-1]["counts"]
    assert counts["passed"] > 30
    assert counts["failed"] == 0

    (steps,) = report["parts"]["speed"]["tables"].values()
    assert {row["backbone"] for row in steps} == {"srresnet", "msrn", "rrdb", "swinir"}
    assert all(row["it/s"] > 0 for row in steps)
    said = "\n".join(lines(report, "speed"))
    for what in ("synthesis alone", "on real batches", "2 side by side", "bf16 graph: ValueError: needs a GPU"):
        assert what in said
    assert json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))["traceEvents"]

    with (tmp_path / "scores.csv").open(newline="") as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 4 * 4 * 8  # regularizers, lengths, cases of one image
    assert {row["iteration"] for row in scores} == {"1", "2", "4", "8"}
    clean = [row["psnr_db"] for row in scores if row["case"] == "clean" and row["regularizer"] == "rff"]
    assert len(set(clean)) > 1, "training changes the network"
    with (tmp_path / "curves.csv").open(newline="") as file:
        curves = list(csv.DictReader(file))
    assert len(curves) == 4 * 8
    rates = [float(row["learning_rate"]) for row in curves if row["regularizer"] == "rff"]
    assert rates == sorted(rates, reverse=True)
    with zipfile.ZipFile(tmp_path / "weights.zip") as packed:
        packed.extractall(tmp_path / "weights")
    infos = [weight_files.load(path)[1] for path in sorted((tmp_path / "weights").iterdir())]
    assert [info.regularizer for info in infos] == ["dropout", "none", "rff", "two_views"]
    assert all(info.iterations == 8 for info in infos)


@pytest.mark.slow
def test_a_part_that_fails_leaves_its_reason_and_the_others_run(tmp_path: Path) -> None:
    report = check(tmp_path / "out", "--data", str(tmp_path), "--parts", "training,profile", status=1)
    assert "BSDS399 is not a folder: --data takes one with" in "\n".join(lines(report, "machine", failed=True))
    assert lines(report, "training", failed=True) == [
        "FAILED: ValueError: the store could not be prepared, see above"
    ]
    assert any("TFLOP/s" in line for line in lines(report, "profile"))
    assert not lines(report, "profile", failed=True)


def test_without_time_every_part_says_so(tmp_path: Path) -> None:
    report = check(tmp_path, "--minutes", "0.03", "--parts", "tests,profile", status=1)
    for part in ("tests", "profile"):
        assert any("out of time" in line for line in lines(report, part, failed=True))


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--parts", "speed,heat"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no part 'heat': choose from tests, speed, profile, training" in done.stderr
