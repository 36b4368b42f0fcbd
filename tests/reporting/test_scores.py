"""The files of scores as one frame: names as text, holes, and what a file lacks in one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blindsr.config.run import Run
from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.reporting import scores
from blindsr.runtime.errors import UserError

METRICS = ["psnr_db", "psnr_y_db", "ssim", "lpips"]
RUNS = [Run.control("bicubic"), Run("net", "none", 3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of one case; the network has no LPIPS."""
    for name, lpips in {"bicubic": {"lpips": 0.25}, "net-none-3": {}}.items():
        values = {"psnr_db": 20.0, "psnr_y_db": 21.0, "ssim": 0.5} | lpips
        rows = [Score(Key("Toy", "clean", image), values) for image in ("007", "b")]
        benchmarks.write_csv(rows, METRICS, tmp_path / f"{name}.csv")
    return tmp_path


def test_one_row_per_cell_and_image(folder: Path) -> None:
    known = scores.read(folder, RUNS, METRICS)
    assert known[["backbone", "reg", "seed", "image"]].to_numpy().tolist() == [
        ["bicubic", "bicubic", 0, "007"],
        ["bicubic", "bicubic", 0, "b"],
        ["net", "none", 3, "007"],
        ["net", "none", 3, "b"],
    ]
    assert known["lpips"].tolist()[:2] == [0.25, 0.25]
    assert np.isnan(known["lpips"]).tolist() == [False, False, True, True]
    assert (known["psnr_y_db"] == 21).all()


def test_a_missing_or_foreign_file_is_one_line(folder: Path) -> None:
    with pytest.raises(UserError, match=r"net-x-0.csv is missing: run `dvc repro`"):
        scores.read(folder, [Run("net", "x", 0)], METRICS)
    pd.DataFrame({"benchmark": ["Toy"]}).to_csv(folder / "net-bad-0.csv")
    with pytest.raises(UserError, match=r"has no column case: delete it and run `dvc repro`"):
        scores.read(folder, [Run("net", "bad", 0)], METRICS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: "", "is empty"),
        (lambda text: text.splitlines()[0] + "\n", "has no rows, and others have"),
        (lambda text: text.replace("20.000000", '"20,0"', 1), "has text in its column psnr_db"),
        (lambda text: text + text.splitlines()[1] + "\n", r"has a row twice \(Toy, clean, 007\)"),
        (lambda text: text + "\udce9", "is damaged"),
    ],
    ids=["empty", "header", "decimal comma", "row twice", "Latin-1"],
)
def test_a_damaged_file_is_one_line_that_names_it(folder: Path, change, says: str) -> None:
    path = folder / "net-none-3.csv"
    path.write_bytes(change(path.read_text()).encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=rf"net-none-3\.csv {says}.*: delete it and run `dvc repro`") as caught:
        scores.read(folder, RUNS, METRICS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "007", "1e5", "true"])
def test_an_image_is_called_what_it_is_called(folder: Path, name: str) -> None:
    rows = [Score(Key("Toy", "clean", name), {"psnr_db": 20.0, "psnr_y_db": 21.0, "ssim": 0.5, "lpips": 0.5})]
    benchmarks.write_csv(rows, METRICS, folder / "net-none-3.csv")
    assert scores.read(folder, [Run("net", "none", 3)], METRICS)["image"].tolist() == [name]


def test_an_image_that_a_row_restores_exactly_is_left_out_of_all(folder: Path) -> None:
    known = scores.read(folder, RUNS, METRICS)
    assert scores.without_infinite(known)[1] == []
    known.loc[(known["reg"] == "none") & (known["image"] == "b"), "psnr_db"] = np.inf
    kept, left_out = scores.without_infinite(known)
    assert left_out == ["Toy/b"]
    assert kept["image"].unique().tolist() == ["007"]
    assert len(kept) == 2
