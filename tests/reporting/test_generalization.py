"""The table of generalization: planted gains are found where they are, and only there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blindsr.config.schema import CaseParams
from blindsr.reporting import generalization
from blindsr.reporting.rescaled import RESCALED

CASES = {
    "clean": CaseParams(),
    "noise": CaseParams(noise_sigma=20.0),
    "b+n": CaseParams(blur={"kernel_size": 21, "sigma": 2.0}, noise_sigma=20.0),
    "b+n+j": CaseParams(blur={"kernel_size": 21, "sigma": 2.0}, noise_sigma=20.0, jpeg_quality=50),
}
REGS = {"none": 0.0, "two_views": 0.02, "rff": 0.07, RESCALED: 0.0}
"""What each has in cosine, and in PSNR at the best amplitude, on simpler cases."""


def scores() -> pd.DataFrame:
    generator, rows = np.random.default_rng(1), []
    for reg, gain in REGS.items():
        for seed in range(3):
            for case in CASES:
                own = gain * (case in ("clean", "noise"))
                for image in range(12):
                    cosine = 0.1 + 0.01 * image + own + 1e-3 * generator.normal()
                    rows.append(
                        ("Toy", case, f"{image:02}", 24.0 + image, cosine, 25.0 + image + own, "net", reg, seed)
                    )
    rows += [("Toy", case, f"{image:02}", 24.0, np.nan, 24.0, "bicubic", "bicubic", 0)
             for case in CASES for image in range(12)]  # fmt: skip
    names = ["benchmark", "case", "image", "psnr_db", "detail_cosine", "psnr_best_db", "backbone", "reg", "seed"]
    return pd.DataFrame(rows, columns=names)


def curves() -> pd.DataFrame:
    return pd.DataFrame(
        {"backbone": "net", "reg": reg, "seed": seed, "iteration": point, "psnr_db_training": 20.0 + point,
         "detail_cosine_clean": gain + 0.01 * seed + 1e-4 * point * seed}
        for reg, gain in REGS.items() if reg != RESCALED for seed in range(3) for point in (1, 2)
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return generalization.frame(scores(), ["Toy"], CASES, curves(), {"clean": CaseParams()})


def test_holms_family_is_a_column(rows: pd.DataFrame) -> None:
    """Three comparisons in each: the smallest p is counted three times."""
    column = rows[(rows["measure"] == "detail_cosine") & (rows["cases"] == "simpler")]
    single = generalization.frame(
        scores().query("reg in ['none', 'rff']"), ["Toy"], CASES, curves(), {"clean": CaseParams()}
    )
    alone = single[(single["measure"] == "detail_cosine") & (single["cases"] == "simpler")]
    assert len(column) == 3
    assert column["p_holm"].min() == pytest.approx(3 * alone["p_holm"].item())


def test_dropout_is_compared_with_each_pair_once() -> None:
    named = scores().replace({"reg": {RESCALED: "dropout"}})
    found = generalization.frame(named, ["Toy"], CASES, curves(), {})
    pairs = list(dict.fromkeys(found[["reg", "over"]].itertuples(index=False, name=None)))
    assert pairs == [("two_views", "none"), ("rff", "none"), ("dropout", "none"), ("rff", "two_views"),
                     ("dropout", "two_views"), ("rff", "dropout")]  # fmt: skip


def test_which_cases_are_simpler() -> None:
    assert generalization.simpler(CASES) == ["clean", "noise"]


def test_planted_gains_are_found_where_they_are(rows: pd.DataFrame) -> None:
    found = rows.set_index(["reg", "over", "measure", "cases"])
    cosine = found.loc[("rff", "none", "detail_cosine", "simpler")]
    assert cosine["difference"] == pytest.approx(0.07, abs=1e-3)
    assert cosine["mark"] == "better"
    assert found.loc[("rff", "two_views", "detail_cosine", "simpler"), "difference"] == pytest.approx(0.05, abs=1e-3)
    assert found.loc[("rff", "none", "psnr_best_db", "simpler"), "difference"] == pytest.approx(0.07)
    hardest = found.loc[("rff", "none", "detail_cosine", "b+n+j")]
    assert hardest["difference"] == pytest.approx(0, abs=1e-3)
    assert hardest["mark"] == "equivalent"
    fit = found.loc[("rff", "none", "detail_cosine", "simpler, equal fit")]
    assert fit["difference"] == pytest.approx(0.07)
    assert fit["seeds"] == 3
    assert ("two_views", "two_views") not in {key[:2] for key in found.index}
    assert RESCALED not in found.index.get_level_values("reg")


def test_one_line_for_each_row_and_baseline(rows: pd.DataFrame, tmp_path: Path) -> None:
    table = generalization.write(rows, tmp_path / "generalization", title="T", notes=["Mine."])
    assert [line[:3] for line in table.rows] == [
        ["net", "two_views", "none"],
        ["net", "rff", "none"],
        ["net", "rff", "two_views"],
    ]
    text = (tmp_path / "generalization.md").read_text()
    assert "+0.070 [" in text
    assert "better" in text
    assert "Mine." in text
    assert (tmp_path / "generalization.csv").read_text().startswith("backbone,reg,over,measure,cases,seeds")


def test_nothing_without_simpler_cases_or_metrics_of_detail() -> None:
    hard = {name: CASES[name] for name in ("b+n", "b+n+j")}
    assert generalization.frame(scores(), ["Toy"], hard, curves(), {}).empty
    plain = scores().drop(columns=["detail_cosine", "psnr_best_db"])
    assert generalization.frame(plain, ["Toy"], CASES, curves(), {}).empty
