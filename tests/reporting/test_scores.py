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
    with pytest.raises(UserError, match=r"has no column case: run `dvc repro --force` for its stage"):
        scores.read(folder, [Run("net", "bad", 0)], METRICS)
