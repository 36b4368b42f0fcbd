"""The paper's tables on a tiny grid by hand: order, values, intervals, improvements, published values, holes."""

import math

import numpy as np
import pandas as pd
import pytest

from blindsr.reporting import statistics
from blindsr.reporting.paper import paper_tables
from blindsr.reporting.paper.comparison import PaperTable, TableCell
from blindsr.reporting.paper.paper_tables import Grid
from blindsr.runtime.errors import UserError

CASES = ["clean", "noise"]
# dB of the three images of Set5 under clean and under noise
PSNR = {
    ("bicubic", "bicubic"): ([20.0, 21, 25], [19.0, 19, 19]),
    ("srresnet", "none"): ([24.0, 25, 29], [22.0, 23, 24]),
    ("srresnet", "dropout"): ([24.0, 25, 26], [22.5, 23.5, 24.5]),
    ("srresnet", "rff"): ([25.0, 26, 30], [22.0, 24, 26]),
}


def scores(benchmark: str = "Set5", seed: int = 0, lpips: bool = True) -> pd.DataFrame:
    rows = [
        (benchmark, case, f"i{number}", value, value / 100 if lpips else np.nan, backbone, reg, seed)
        for (backbone, reg), both in PSNR.items()
        for case, values in zip(CASES, both, strict=True)
        for number, value in enumerate(values)
    ]
    columns = ["benchmark", "case", "image", "psnr_db", "lpips", "backbone", "reg", "seed"]
    return pd.DataFrame(rows, columns=columns)


def measured(
    *frames: pd.DataFrame, regularizers: list[str] | None = None, benchmarks: list[str] | None = None
) -> Grid:
    names = regularizers or ["none", "dropout", "rff"]
    return paper_tables.measure(pd.concat(frames), ["srresnet"], names, benchmarks or ["Set5"], CASES)


def lines(table: PaperTable) -> list[tuple[str, str, str]]:
    return [line[:3] for line in table.lines]


def cell(table: PaperTable, row: tuple[str, str, str], column: str) -> TableCell:
    (line,) = [line for line in table.lines if line[:3] == row]
    return line.cells[table.columns.index(column)]


def test_the_grid_has_the_cases_and_their_mean() -> None:
    grid = measured(scores(), scores(seed=1))
    ours = grid.psnr["Set5", "srresnet", "rff"]
    assert ours.shape == (2, 3, 3)
    assert ours[0].tolist() == [[25, 22, 23.5], [26, 24, 25], [30, 26, 28]]
    assert grid.lpips["Set5", "srresnet", "rff"][1, 2].tolist() == pytest.approx([0.30])  # of clean images alone
    assert grid.real == {}


def test_without_lpips_there_are_none() -> None:
    assert measured(scores(lpips=False)).lpips == {}


def test_no_scores_of_any_benchmark() -> None:
    grid = measured(scores().iloc[:0])
    assert (grid.psnr, grid.lpips, grid.real) == ({}, {}, {})
    assert paper_tables.main_table(grid, "t", ["Set5"], "T").is_empty
    assert paper_tables.average_table(grid, [], "T").is_empty


def test_other_images_than_the_baseline_are_one_line() -> None:
    frame = scores()
    ours = frame["reg"] == "rff"
    with pytest.raises(
        UserError, match=r"^srresnet-rff and bicubic-bicubic were scored on different images of Set5: r"
    ):
        measured(frame[~(ours & (frame["image"] == "i2"))])
    renamed = frame.assign(image=frame["image"].where(~ours, frame["image"] + "x"))
    with pytest.raises(UserError, match="different images"):
        measured(renamed)


def test_main_table_has_the_papers_order() -> None:
    table = paper_tables.main_table(measured(scores()), "table1_small", ["Set5", "Set14"], "T")
    assert table.header == ["benchmark", "network", ""]
    assert table.columns == ["clean", "noise", "mean"]
    assert lines(table) == [
        (benchmark, *row)
        for benchmark in ("Set5", "Set14")
        for row in (
            ("bicubic", ""),
            ("bilinear", ""),
            ("SRResNet", "baseline"),
            ("SRResNet", "+ ours"),
            ("SRResNet", "improvement"),
        )
    ]


def test_main_table_values_by_hand() -> None:
    table = paper_tables.main_table(measured(scores()), "t", ["Set5"], "T")
    row = {
        label: [cell(table, ("Set5", network, label), column).value for column in table.columns]
        for network, label in (
            ("bicubic", ""),
            ("SRResNet", "baseline"),
            ("SRResNet", "+ ours"),
            ("SRResNet", "improvement"),
        )
    }
    assert row[""] == pytest.approx([22, 19, 20.5])
    assert row["baseline"] == pytest.approx([26, 23, 24.5])
    assert row["+ ours"] == pytest.approx([27, 24, 25.5])
    assert row["improvement"] == pytest.approx([1, 1, 1])


def test_intervals_are_of_the_images_and_of_the_differences() -> None:
    table = paper_tables.main_table(measured(scores()), "t", ["Set5"], "T")
    level = cell(table, ("Set5", "SRResNet", "+ ours"), "noise")
    ours = np.array([[22.0], [24], [26]])
    low, high = statistics.bootstrap_interval(ours[None], np.zeros((1, 3, 1)))
    assert (level.low, level.high) == pytest.approx((low[0], high[0]))
    assert (math.isnan(level.p), level.gain) == (True, None)
    gain = cell(table, ("Set5", "SRResNet", "improvement"), "noise")  # of 0, 1 and 2 dB
    low, high = statistics.bootstrap_interval(np.array([[[0.0], [1], [2]]]), np.zeros((1, 3, 1)))
    assert (gain.low, gain.high) == gain.gain == pytest.approx((low[0], high[0]))
    assert math.isnan(gain.p)  # one training run
    sure = cell(table, ("Set5", "SRResNet", "improvement"), "clean")  # 1 dB in each image
    assert (sure.low, sure.high) == (1, 1)
    again = paper_tables.main_table(measured(scores(), scores(seed=1)), "t", ["Set5"], "T")
    assert cell(again, ("Set5", "SRResNet", "improvement"), "clean").p == pytest.approx(0)


def test_published_values_stand_at_their_cells() -> None:
    table = paper_tables.main_table(measured(scores()), "t", ["Set5", "Set14"], "T")
    assert cell(table, ("Set5", "SRResNet", "baseline"), "clean").paper == 24.85
    assert cell(table, ("Set5", "SRResNet", "+ ours"), "noise").paper == 23.15
    assert cell(table, ("Set5", "SRResNet", "improvement"), "noise").paper == pytest.approx(23.15 - 22.52)
    assert cell(table, ("Set14", "SRResNet", "+ ours"), "clean").paper == 24.12
    assert cell(table, ("Set5", "SRResNet", "baseline"), "mean").paper == pytest.approx((24.85 + 22.52) / 2)
    assert math.isnan(cell(table, ("Set5", "bicubic", ""), "clean").paper)


def test_a_benchmark_without_scores_is_a_hole_beside_the_papers_value() -> None:
    table = paper_tables.main_table(measured(scores()), "t", ["Set5", "Set14"], "T")
    for line in table.lines[5:]:
        assert all(math.isnan(one.value) and math.isnan(one.p) for one in line.cells)
    assert not table.is_empty


def test_a_benchmark_of_ones_own_has_no_published_value() -> None:
    grid = measured(scores("photos"), benchmarks=["photos"])
    table = paper_tables.main_table(grid, "t", ["photos"], "T")
    assert all(math.isnan(one.paper) for line in table.lines for one in line.cells)
    assert cell(table, ("photos", "SRResNet", "+ ours"), "clean").value == pytest.approx(27)


def test_misprints_are_flagged_in_the_row_and_in_the_difference() -> None:
    grid = paper_tables.measure(scores(), ["msrn"], ["none", "rff"], ["Set5"], CASES)
    table = paper_tables.main_table(grid, "t", ["Test2k"], "T")
    flags = {line.label: [one.suspect for one in line.cells] for line in table.lines}
    assert flags == {
        "": [False, False, False],
        "baseline": [True, False, False],
        "+ ours": [False, False, False],
        "improvement": [True, False, False],
    }


def test_dropout_table_has_extras_but_not_the_ablations_rows() -> None:
    names = ["none", "dropout", "brute_force", "linear", "rff", "mine", "rff_released"]
    table = paper_tables.dropout_table(measured(scores(), regularizers=names), ["Set5"], "T")
    assert [line.label for line in table.lines] == [
        "", "", "baseline", "+ Dropout", "+ ours", "+ mine", "+ released code"
    ]  # fmt: skip
    dropout = cell(table, ("Set5", "SRResNet", "+ Dropout"), "noise")
    assert dropout.value == pytest.approx(23.5)
    assert dropout.gain == (0.5, 0.5)  # half a dB in every image
    assert dropout.paper == 22.79
    assert cell(table, ("Set5", "SRResNet", "baseline"), "noise").gain is None
    assert math.isnan(cell(table, ("Set5", "SRResNet", "+ mine"), "noise").value)


def test_ablation_table_is_the_mean_of_the_cases() -> None:
    grid = measured(scores())
    table = paper_tables.ablation_table(grid._replace(cases=paper_tables.CASES), ["Set5", "Set14"], "T")
    assert [line.label for line in table.lines] == ["", "", "baseline", "+ brute-force", "+ linear", "+ ours"]
    assert table.columns == ["Set5", "Set14"]
    ours = cell(table, ("", "SRResNet", "+ ours"), "Set5")
    assert ours.value == pytest.approx(25.5)
    assert ours.paper == 24.20
    assert math.isnan(ours.p)  # one training run
    linear = cell(table, ("", "SRResNet", "+ linear"), "Set5")
    assert math.isnan(linear.value)
    assert linear.paper == 24.01
    fewer = paper_tables.ablation_table(grid, ["Set5"], "T")  # the paper's are means of its eight cases
    assert math.isnan(cell(fewer, ("", "SRResNet", "+ ours"), "Set5").paper)


def test_a_case_of_ones_own_is_not_in_the_means() -> None:
    frame = scores()
    own = frame[frame["case"] == "noise"].assign(case="heavy", psnr_db=0.0)
    grid = paper_tables.measure(pd.concat([frame, own]), ["srresnet"], ["none", "rff"], ["Set5"], [*CASES, "heavy"])
    assert grid.psnr["Set5", "srresnet", "rff"][0].tolist() == [[25, 22, 0, 23.5], [26, 24, 0, 25], [30, 26, 0, 28]]


def test_lpips_table_is_of_clean_images() -> None:
    table = paper_tables.lpips_table(measured(scores()), ["Set5"], "T")
    assert table.lower_is_better
    assert [line.label for line in table.lines] == ["", "", "baseline", "+ Dropout", "+ ours"]
    ours = cell(table, ("", "SRResNet", "+ ours"), "Set5")
    assert (ours.value, ours.paper) == (pytest.approx(0.27), 0.238)
    assert ours.gain == pytest.approx((0.01, 0.01))


def test_ntire_table_has_the_plain_psnr_of_the_tracks() -> None:
    real = pd.DataFrame({"benchmark": "NTIRE2018_mild", "case": "real", "image": ["0801x4m", "0802x4m"],
                         "psnr_db": [17.0, 18.0], "lpips": np.nan, "backbone": "srresnet", "reg": "none",
                         "seed": 0})  # fmt: skip
    grid = measured(scores(), real, real.assign(reg="rff", psnr_db=[17.5, 18.5]))
    assert "NTIRE2018_mild" not in {key[0] for key in grid.psnr}
    table = paper_tables.ntire_table(grid, "T")
    assert table.columns == ["NTIRE2018_mild", "NTIRE2018_difficult", "NTIRE2018_wild"]
    ours = cell(table, ("", "SRResNet", "+ ours"), "NTIRE2018_mild")
    assert (ours.value, ours.paper, ours.gain) == (18.0, 17.69, (0.5, 0.5))
    wild = cell(table, ("", "SRResNet", "+ ours"), "NTIRE2018_wild")
    assert (math.isnan(wild.value), wild.paper) == (True, 17.94)


def test_average_counts_benchmarks_alike() -> None:
    """Set14 gains 3 dB in one image more than Set5 has; every gain counts as often as its benchmark."""
    other = scores("Set14")
    more = other[other["image"] == "i0"]
    other = pd.concat([other, more.assign(image="i9")])
    other.loc[other["reg"] == "rff", "psnr_db"] = other.loc[other["reg"] == "none", "psnr_db"].to_numpy() + 3
    table = paper_tables.average_table(
        measured(scores(), other, benchmarks=["Set5", "Set14"]), ["Set5", "Set14"], "T"
    )
    assert table.columns == ["bicubic", "bilinear", "+ Dropout", "+ ours"]
    assert lines(table) == [("", "SRResNet", "")]
    assert table.lines[0].signed
    bicubic, bilinear, dropout, ours = table.lines[0].cells
    assert math.isnan(bilinear.value)
    assert ours.value == pytest.approx((1 + 3) / 2)
    # Set5 loses 1 dB on average under clean and gains 0.5 under noise: -0.25; Set14's first image counts twice
    assert dropout.value == pytest.approx((-0.25 + (0.25 + 0.25 + 0.25 - 1.25) / 4) / 2)
    assert math.isnan(bicubic.paper)
    assert bicubic.value < 0


@pytest.mark.parametrize(("backbone", "ours", "dropout"), [("srresnet", 0.57, 0.26), ("rrdb", 0.72, 0.31)])
def test_average_of_the_paper_is_the_one_it_quotes(backbone: str, ours: float, dropout: float) -> None:
    cases = ["clean", "blur", "noise", "jpeg", "b+n", "b+j", "n+j", "b+n+j"]
    grid = paper_tables.measure(scores().iloc[:0], [backbone], ["none", "dropout", "rff"], ["Set5"], cases)
    cells = paper_tables.average_table(grid, ["Set5"], "T").lines[0].cells
    assert [round(one.paper, 2) for one in cells[2:]] == [dropout, ours]


def test_networks_of_ones_own_keep_their_name() -> None:
    frame = scores().replace({"backbone": {"srresnet": "mine"}})
    grid = paper_tables.measure(frame, ["mine"], ["none", "rff"], ["Set5"], CASES)
    table = paper_tables.main_table(grid, "t", ["Set5"], "T")
    assert cell(table, ("Set5", "mine", "+ ours"), "clean").value == pytest.approx(27)
    assert math.isnan(cell(table, ("Set5", "mine", "+ ours"), "clean").paper)
