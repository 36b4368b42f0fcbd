"""The first table: planted numbers by hand, the controls, and what is left out without metrics of detail."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blindsr.config.run import Row
from blindsr.reporting import differences, headline, split_table
from blindsr.reporting.gain_split import gain_db
from blindsr.reporting.rescaled import RESCALED

CASES = ["clean", "noise"]
DETAIL = {
    "bicubic": (np.nan, 0.0),
    "bilinear": (0.1, 0.2),
    "none": (0.3, 0.8),
    RESCALED: (0.3, 0.4),
    "rff": (0.3, 0.5),
}
"""Cosine and amplitude of each row."""
CONTROLS = [Row("bicubic", "bicubic"), Row("bilinear", "bilinear")]
ROWS = [*CONTROLS, Row("net", "none"), Row("net", RESCALED), Row("net", "rff")]


def scores(detail: bool = True) -> pd.DataFrame:
    """20 images of two seeds whose cosine and amplitude are those of DETAIL, with noise of 1e-4."""
    generator = np.random.default_rng(0)
    rows = []
    for backbone, reg in ROWS:
        cosine, amplitude = DETAIL[reg]
        for seed in range(1 if backbone == reg else 2):
            for case in CASES:
                for image in range(20):
                    c, g = cosine + 1e-4 * generator.normal(), amplitude
                    psnr = 24 + image % 5 - (case == "noise") + float(gain_db(c, g))
                    rows.append(("Toy", case, f"{image:02d}", psnr, c, g, psnr + 1, backbone, reg, seed))
    names = ["detail_cosine", "detail_amplitude", "psnr_best_db"]
    found = pd.DataFrame(rows, columns=["benchmark", "case", "image", "psnr_db", *names, "backbone", "reg", "seed"])
    return found if detail else found[found["reg"] != RESCALED].drop(columns=names)


def framed(table: pd.DataFrame, rows: list[Row], benchmarks: list[str], shown: list[str]) -> pd.DataFrame:
    """The table with the comparisons that a report makes."""
    gains = {
        f"- {name}": differences.pooled(table, benchmarks, CASES, "psnr_db", baseline=name)
        for name in ("none", RESCALED, "bilinear")
    }
    parts = split_table.pooled(table, benchmarks, CASES) if "detail_cosine" in table else None
    return headline.frame(table, rows, benchmarks, CASES, shown, gains, parts)


def test_numbers_by_hand() -> None:
    """`rff` has the cosine of `none` and less amplitude: its gain is amplitude; the rescaled baseline gains more."""
    found = framed(scores(), ROWS, ["Toy", "Gone"], ["clean"]).set_index("reg")
    gains = {reg: float(gain_db(*DETAIL[reg])) for reg in DETAIL}
    for reg, gain in gains.items():
        assert found.loc[reg, "PSNR clean"] == pytest.approx(26 + gain, abs=1e-3)
        assert found.loc[reg, "PSNR mean"] == pytest.approx(25.5 + gain, abs=1e-3)
    rff = found.loc["rff"]
    assert rff["- none"] == pytest.approx(gains["rff"] - gains["none"], abs=1e-3)
    assert rff["amplitude of it"] == pytest.approx(rff["- none"], abs=1e-3)
    assert rff["direction of it"] == pytest.approx(0, abs=1e-3)
    assert (rff["- none_mark"], rff["direction of it_mark"]) == ("better", "equivalent")
    assert rff["- none_rescaled"] == pytest.approx(gains["rff"] - gains[RESCALED], abs=1e-3)
    assert rff["- none_rescaled_mark"] == "worse"
    assert rff["- bilinear"] == pytest.approx(gains["rff"] - gains["bilinear"], abs=1e-3)
    assert (rff["cosine"], rff["amplitude"]) == pytest.approx((0.3, 0.5), abs=1e-3)
    assert found.loc[["bicubic", "bilinear"], "- none"].isna().all()


def test_the_table_has_a_cell_for_each_and_says_how_it_is_read(tmp_path: Path) -> None:
    found = framed(scores(), ROWS, ["Toy"], ["clean"])
    table = headline.write(found, tmp_path / "h", title="T", seeds=2, notes=["Mine."])
    assert table.header[:2] == ["backbone", "reg"]
    assert table.header[-5:] == ["− none", "direction of it", "amplitude of it", "− none_rescaled", "− bilinear"]
    assert table.rows[-1][-4].endswith("000] equivalent")
    assert table.rows[0][-5:] == ["—"] * 5
    text = (tmp_path / "h.md").read_text()
    assert "A gain over it is not had by turning detail up or down by one factor." in text
    assert text.endswith("Mine.\n")
    csv = pd.read_csv(tmp_path / "h.csv")
    assert {"- none", "- none_low", "- none_high", "- none_mark"} <= set(csv)


def test_without_metrics_of_detail_the_rest_is_there(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row.reg != RESCALED]
    found = framed(scores(detail=False), rows, ["Toy"], [])
    assert "cosine" not in found
    assert "- none_rescaled" not in found
    assert found.set_index("reg").loc["rff", "- none"] > 0
    headline.write(found, tmp_path / "h", title="T", seeds=1, notes=[])
    text = (tmp_path / "h.md").read_text()
    assert "one seed, so no test of training" in text
    assert "Cosine" not in text


def test_no_benchmark_is_a_table_of_holes(tmp_path: Path) -> None:
    found = framed(scores().iloc[:0], ROWS, ["Gone"], ["clean"])
    assert found["PSNR mean"].isna().all()
    assert len(headline.write(found, tmp_path / "h", title="T", seeds=1, notes=[]).rows) == len(ROWS)
