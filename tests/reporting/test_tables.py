"""Tables by hand: means over images and seeds, holes, bytes."""

import json
from pathlib import Path

import numpy as np
import pytest

from blindsr.config.run import Row, Run
from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.reporting import scores, tables

METRICS = ["psnr_db", "psnr_y_db", "ssim", "lpips"]
RUNS = [Run.control("bicubic"), Run("net", "none", 0), Run("net", "rff", 0)]
ROWS = [Row("bicubic", "bicubic"), Row("net", "none"), Row("net", "rff")]


def write_scores(folder: Path, name: str, psnr: dict[tuple[str, str], float], lpips: float | None = None) -> None:
    """One CSV with the given PSNR per (case, image) of the set Toy."""
    others = {"ssim": 0.5} | ({} if lpips is None else {"lpips": lpips})
    rows = [Score(Key("Toy", *key), {"psnr_db": db, "psnr_y_db": db + 1} | others) for key, db in psnr.items()]
    benchmarks.write_csv(rows, METRICS, folder / f"{name}.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cases, two images; rff gains 1 dB on clean and loses 0.5 on noise."""
    base = {("clean", "007"): 20.0, ("clean", "b"): 30.0, ("noise", "007"): 10.0, ("noise", "b"): 12.0}
    write_scores(tmp_path, "bicubic", base)
    write_scores(tmp_path, "net-none-0", {key: value + 2 for key, value in base.items()})
    gains = {"clean": 3.0, "noise": 1.5}
    write_scores(tmp_path, "net-rff-0", {key: value + gains[key[0]] for key, value in base.items()}, lpips=0.25)
    return tmp_path


def test_means_over_images_and_cases_in_the_order_given(folder: Path) -> None:
    known = scores.read(folder, RUNS, METRICS)
    table = tables.table(known, "psnr_db", ["Toy"], ROWS, ["noise", "clean"])
    assert list(table.columns) == ["noise", "clean", "mean"]
    assert table.loc[("Toy", "bicubic", "bicubic")].tolist() == [11.0, 25.0, 18.0]
    assert table.loc[("Toy", "net", "rff")].tolist() == [12.5, 28.0, 20.25]


def test_seeds_count_alike_whatever_their_number_of_images(folder: Path) -> None:
    write_scores(folder, "net-none-1", {("clean", "007"): 40.0, ("noise", "007"): 40.0})
    known = scores.read(folder, [*RUNS, Run("net", "none", 1)], METRICS)
    table = tables.table(known, "psnr_db", ["Toy"], ROWS, ["clean"])
    assert table.loc[("Toy", "net", "none"), "clean"] == pytest.approx((27.0 + 40.0) / 2)


def test_improvement_is_the_difference_to_the_same_backbone_without(folder: Path) -> None:
    table = tables.table(scores.read(folder, RUNS, METRICS), "psnr_db", ["Toy"], ROWS, ["clean", "noise"])
    difference = tables.improvement(table)
    assert difference.index.tolist() == [("Toy", "net", "rff")]
    assert difference.iloc[0].tolist() == [1.0, -0.5, 0.25]


def test_a_missing_set_is_a_hole_with_its_reason(folder: Path) -> None:
    table = tables.table(scores.read(folder, RUNS, METRICS), "psnr_db", ["Toy", "Gone"], ROWS, ["clean"])
    assert table.loc["Gone"].isna().all(axis=None)
    tables.write(table, folder / "out" / "psnr", title="T", decimals=2, signed=False, notes=["— Gone is missing."])
    text = (folder / "out" / "psnr.md").read_text()
    assert "| Gone" in text
    assert "—" in text
    assert text.endswith("— Gone is missing.\n")
    csv = (folder / "out" / "psnr.csv").read_text()
    assert "Gone,net,rff,,\n" in csv
    assert "Toy,net,rff,28.00,28.00\n" in csv


def test_signs_and_bytes(folder: Path) -> None:
    table = tables.table(scores.read(folder, RUNS, METRICS), "psnr_db", ["Toy"], ROWS, ["clean", "noise"])
    for stem in ("a", "b"):
        tables.write(tables.improvement(table), folder / stem, title="T", decimals=2, signed=True, notes=[])
    assert (folder / "a.md").read_bytes() == (folder / "b.md").read_bytes()
    assert (
        folder / "a.csv"
    ).read_text() == "benchmark,backbone,reg,clean,noise,mean\nToy,net,rff,+1.00,-0.50,+0.25\n"


def test_metrics_json_leaves_out_what_was_not_measured(folder: Path) -> None:
    known = scores.read(folder, RUNS, METRICS)
    values = {m: tables.table(known, m, ["Toy"], ROWS, ["clean", "noise"]) for m in ("psnr_db", "lpips")}
    tables.write_metrics(values, folder / "metrics.json")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["bicubic"] == {"psnr_db": {"clean": 25.0, "noise": 11.0, "mean": 18.0}}
    assert metrics["net-rff"]["lpips"] == {"clean": 0.25, "noise": 0.25, "mean": 0.25}


def test_nothing_but_numbers_and_holes(folder: Path) -> None:
    table = tables.table(scores.read(folder, RUNS, METRICS), "lpips", ["Toy"], ROWS, ["clean"])
    assert np.isnan(table.loc[("Toy", "net", "none"), "clean"])
    assert table.loc[("Toy", "net", "rff"), "clean"] == 0.25
