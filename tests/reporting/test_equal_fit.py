"""Learning curves compared at equal fit: by hand, between points, over seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from blindsr.reporting import equal_fit

CURVES = {"none": ([20.0, 21.0, 22.0], [0.1, 0.2, 0.3]), "rff": ([20.0, 20.5, 21.0], [0.2, 0.25, 0.4])}
"""PSNR as in training, and cosine, at three points."""


def curves(seeds: int = 1, noise: float = 0.0, regs: tuple[str, ...] = ("none", "rff")) -> pd.DataFrame:
    generator, rows = np.random.default_rng(0), []
    for reg in regs:
        for seed in range(seeds):
            change = noise * generator.normal()
            for number, (fit, cosine) in enumerate(zip(*CURVES[reg], strict=True)):
                values = {"detail_cosine_clean": cosine + change, "detail_cosine_b-n": cosine + change + 0.1}
                rows.append({"backbone": "net", "reg": reg, "seed": seed, "iteration": 100 * (number + 1),
                             "psnr_db_training": fit} | values)  # fmt: skip
                rows.append({"backbone": "net", "reg": reg, "seed": seed, "iteration": 100 * number + 50})
    return pd.DataFrame(rows)


def test_at_the_highest_fit_that_both_reach() -> None:
    """At 21 dB: `rff` at its end 0.4, `none` in the middle 0.2."""
    found = equal_fit.compare(curves(), "net", "rff", "none", ["clean"], "detail_cosine")
    assert found.difference == pytest.approx(0.2)
    assert found.pairs == 1
    assert np.isnan([found.low, found.high, found.p]).all()
    both = equal_fit.compare(curves(), "net", "rff", "none", ["clean", "b+n"], "detail_cosine")
    assert both.difference == pytest.approx(0.2)  # of means over the cases


def test_between_two_points_by_a_straight_line() -> None:
    table = curves()
    table.loc[(table["reg"] == "rff") & (table["iteration"] == 300), "psnr_db_training"] = 20.75
    found = equal_fit.compare(table, "net", "rff", "none", ["clean"], "detail_cosine")
    assert found.difference == pytest.approx(0.4 - 0.175)  # `none` passes 20.75 three quarters of the way


def test_a_fit_that_falls_again_counts_where_it_was_reached_first() -> None:
    table = curves()
    table.loc[(table["reg"] == "none") & (table["iteration"] == 300), "psnr_db_training"] = 20.2
    found = equal_fit.compare(table, "net", "rff", "none", ["clean"], "detail_cosine")
    assert found.difference == pytest.approx(0.4 - 0.2)


def test_a_fit_that_the_first_point_has() -> None:
    table = curves()
    table.loc[table["reg"] == "none", "psnr_db_training"] += 5
    found = equal_fit.compare(table, "net", "rff", "none", ["clean"], "detail_cosine")
    assert found.difference == pytest.approx(0.4 - 0.1)


def test_interval_and_test_are_students_over_paired_seeds() -> None:
    table = curves(seeds=4, noise=0.01)
    found = equal_fit.compare(table, "net", "rff", "none", ["clean"], "detail_cosine")
    end = table[table["iteration"] == 300].set_index(["reg", "seed"])["detail_cosine_clean"]
    middle = table[table["iteration"] == 200].set_index(["reg", "seed"])["detail_cosine_clean"]
    expected = stats.ttest_rel(end["rff"], middle["none"])
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.pairs == 4


@pytest.mark.parametrize(
    "table",
    [
        curves().drop(columns="psnr_db_training"),
        curves().drop(columns="detail_cosine_clean"),
        curves(regs=("none",)),
        curves().assign(seed=lambda rows: rows["seed"] + (rows["reg"] == "rff")),
    ],
)
def test_nothing_to_compare(table: pd.DataFrame) -> None:
    assert equal_fit.compare(table, "net", "rff", "none", ["clean"], "detail_cosine") is None
    assert equal_fit.compare(table, "net", "rff", "none", [], "detail_cosine") is None
