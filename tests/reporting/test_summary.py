"""The flat metrics of DVC: numbers of the planted grid, the best row, the same names whatever was trained."""

import json
from pathlib import Path

import pytest

import synthetic_grid
from blindsr.config.params import Params
from blindsr.reporting import scores, summary
from blindsr.reporting.source import Source

NAMES = ["run", "mean", "clean", "b+n+j", "trained", "gain", "cosine", "amplitude"]


def source(folder: Path, parsed: Params) -> Source:
    known = scores.read(folder / "scores", parsed.scored, parsed.evaluate.metrics)
    return Source(parsed, folder, known, list(parsed.data.benchmarks), {})


def planted(folder: Path, regs: list[str], sizes: dict[str, int]) -> Source:
    settings = synthetic_grid.settings("reg=paper", benchmarks=["Set5"], names=regs)
    synthetic_grid.write(folder, folder / "index", settings, sizes)
    return source(folder, settings)


def test_the_best_row_with_every_number(tmp_path: Path) -> None:
    """`rff` was planted 0.6 dB above `none` in the first case, half of that in the last: 0.45 on average."""
    report = planted(tmp_path, ["none", "dropout", "rff"], {"Set5": 5})
    summary.write(report, tmp_path / "summary.json")
    found = json.loads((tmp_path / "summary.json").read_text())
    known = [name for name in NAMES if name != "trained"]  # the planted curves have no such column
    assert [name for name in found if name != "trained"] == known
    assert found["run"] == "srresnet-rff"
    bilinear = found["mean"] - found["gain"]
    assert 20 < bilinear < 26
    assert found["clean"] - found["b+n+j"] == pytest.approx(0.5 * 7 + 0.3, abs=0.1)
    assert found["cosine"] == pytest.approx(0.3 + 0.045, abs=1e-3)
    assert found["amplitude"] == 0.5
    assert "reg" not in found


def test_one_regularizer_alone_has_the_same_names(tmp_path: Path) -> None:
    found = summary.summary(planted(tmp_path, ["rff"], {"Set5": 5}))
    assert [name for name in found if name != "trained"] == [name for name in NAMES if name != "trained"]


def test_the_fit_is_that_of_the_last_validation(tmp_path: Path) -> None:
    report = planted(tmp_path, ["rff"], {"Set5": 5})
    curves = report.curves
    curves["psnr_db_training"] = [float(number) for number in range(len(curves))]
    curves.loc[curves.index[-1], "psnr_db_training"] = float("nan")  # that point was not validated
    assert summary.summary(report)["trained"] == len(curves) - 2


def test_no_scores_no_numbers(tmp_path: Path) -> None:
    report = planted(tmp_path, ["none"], {"Set5": 5})
    report.suite = []  # every benchmark is missing
    assert summary.summary(report) == {}
