"""What the page is given: means over seeds, in one order, holes, and what is left out."""

import json

import numpy as np
import pandas as pd
import pytest

from blindsr.config.run import Row
from blindsr.reporting import scores
from blindsr.reporting.page import score_data

ROWS = [Row("bicubic", "bicubic"), Row("net", "none"), Row("net", "rff")]
METRICS = scores.records(["psnr_db", "psnr_y_db", "ssim", "lpips"])
COLUMNS = ["benchmark", "case", "image", "backbone", "reg", "seed", "psnr_db", "psnr_y_db", "ssim", "lpips"]


def frame(*rows: tuple[str, str, str, str, str, int, float], lpips: float = np.nan) -> pd.DataFrame:
    return pd.DataFrame([(*row, row[-1] + 1, 0.5, lpips) for row in rows], columns=COLUMNS)


SCORES = frame(
    ("Toy", "noise", "b", "net", "rff", 0, 20.0),
    ("Toy", "noise", "b", "net", "rff", 1, 21.0),
    ("Toy", "clean", "b", "net", "rff", 0, 22.0),
    ("Toy", "clean", "a", "net", "rff", 0, 23.12345),
    ("Toy", "clean", "a", "net", "none", 0, 19.0),
    ("Toy", "clean", "a", "bicubic", "bicubic", 0, 18.0),
    ("Real", "real", "0801x4m", "net", "rff", 0, 17.0),
)


def test_by_hand() -> None:
    found = score_data.build(SCORES, METRICS, ROWS, ["Gone", "Toy"], ["clean", "blur", "noise"])
    assert found["cases"] == ["clean", "blur", "noise"]
    assert found["baseline"] == "none"
    assert found["method"] == "rff"
    assert found["benchmarks"] == [{"name": "Toy", "images": ["a", "b"]}]
    assert found["models"] == [
        {"name": "bicubic", "backbone": "bicubic", "reg": "bicubic"},
        {"name": "net-none", "backbone": "net", "reg": "none"},
        {"name": "net-rff", "backbone": "net", "reg": "rff"},
    ]
    psnr = found["values"]["psnr_db"]
    assert psnr["net-rff"] == {
        "Toy": {"clean": [23.123, 22.0], "blur": [None, None], "noise": [None, 20.5]},
    }
    holes = [None, None]
    assert psnr["net-none"] == {"Toy": {"clean": [19.0, None], "blur": holes, "noise": holes}}
    assert psnr["bicubic"]["Toy"]["clean"] == [18.0, None]


def test_metrics_are_those_with_scores() -> None:
    without = score_data.build(SCORES, METRICS, ROWS, ["Toy"], ["clean", "noise"])
    assert list(without["metrics"]) == list(without["values"]) == ["psnr_db", "psnr_y_db", "ssim"]
    scored = score_data.build(SCORES.assign(lpips=0.123456), METRICS, ROWS, ["Toy"], ["clean", "noise"])
    assert scored["metrics"]["lpips"] == {"label": "LPIPS", "decimals": 4, "higher_is_better": False}
    assert scored["metrics"]["psnr_db"]["higher_is_better"]
    assert scored["values"]["lpips"]["net-none"]["Toy"]["clean"] == [0.12346, None]


def test_a_row_without_scores_is_empty() -> None:
    found = score_data.build(SCORES, METRICS, [*ROWS, Row("net", "linear")], ["Toy"], ["clean", "noise"])
    assert found["values"]["psnr_db"]["net-linear"] == {}


def test_it_is_json_without_nan() -> None:
    found = score_data.build(SCORES, METRICS, ROWS, ["Toy"], ["clean", "noise"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_no_scores_at_all() -> None:
    found = score_data.build(SCORES.iloc[:0], METRICS, ROWS, ["Toy"], ["clean"])
    assert (found["benchmarks"], found["metrics"], found["values"]) == ([], {}, {})


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_the_scores_does_not_matter(seed: int) -> None:
    shuffled = SCORES.sample(frac=1, random_state=seed)
    assert score_data.build(shuffled, METRICS, ROWS, ["Toy"], ["clean", "noise"]) == score_data.build(
        SCORES, METRICS, ROWS, ["Toy"], ["clean", "noise"]
    )
