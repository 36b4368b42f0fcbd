import pandas as pd
import pytest

from blindsr.reporting.paper import published

BENCHMARKS = ["Set5", "Set14", "BSD100", "Test2k", "Urban100", "Manga109"]
CASES = ["clean", "blur", "noise", "jpeg", "b+n", "b+j", "n+j", "b+n+j"]
NETWORKS = ["SRResNet", "RRDB", "MSRN", "SwinIR"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return published.load()


@pytest.fixture(scope="module")
def main(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["table"] == "psnr_main"]


def test_columns_and_types(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == published.COLUMNS
    assert frame["value"].dtype == float
    assert frame["suspect"].dtype == bool
    assert not frame.isna().any(axis=None)


def test_number_of_values(frame: pd.DataFrame) -> None:
    assert len(frame) == 678
    assert frame["table"].value_counts().to_dict() == {
        "psnr_main": 576, "ablation": 48, "lpips": 36, "ntire2018": 18
    }  # fmt: skip


def test_main_table_is_a_full_grid(main: pd.DataFrame) -> None:
    grid = main.set_index(["backbone", "regularizer", "dataset", "degradation"]).index
    assert grid.is_unique
    wanted = pd.MultiIndex.from_product([NETWORKS, ["none", "dropout", "rff"], BENCHMARKS, CASES])
    assert set(grid) == set(wanted)


def test_spot_values(frame: pd.DataFrame) -> None:
    keys = ["table", "backbone", "regularizer", "dataset", "degradation"]
    values = frame.set_index(keys)["value"]
    assert values["psnr_main", "SRResNet", "none", "Set5", "clean"] == 24.85
    assert values["ablation", "RRDB", "linear", "BSD100", "mean"] == 23.45
    assert values["ntire2018", "RRDB", "rff", "NTIRE2018", "wild"] == 18.21
    assert values["lpips", "RRDB", "rff", "Test2k", ""] == 0.341


def test_values_are_of_their_unit(frame: pd.DataFrame) -> None:
    bounds = {"psnr": (16, 30), "lpips": (0.1, 0.6)}
    for metric, values in frame.groupby("metric")["value"]:
        assert values.between(*bounds[metric]).all(), metric
    assert (frame["metric"] == "lpips").equals(frame["table"] == "lpips")


def test_ablation_is_the_mean_of_the_eight_cases(frame: pd.DataFrame, main: pd.DataFrame) -> None:
    keys = ["backbone", "regularizer", "dataset"]
    ablation = frame[frame["table"] == "ablation"].set_index(keys)["value"]
    both = pd.concat({"printed": ablation, "mean": main.groupby(keys)["value"].mean()}, axis=1).dropna()
    assert len(both) == 24  # none and rff of SRResNet and RRDB; the other rows are in the ablation alone
    gap = (both["printed"] - both["mean"]).abs()
    assert gap.max() < 0.01
    assert (gap > 0.0051).sum() == 1  # SRResNet rff Set14, printed 22.83 for 22.821


@pytest.mark.parametrize(
    ("backbone", "rff", "dropout"),
    [("SRResNet", 0.57, 0.26), ("RRDB", 0.72, 0.31), ("MSRN", 0.25, 0.07), ("SwinIR", 0.22, 0.05)],
)
def test_average_improvements_that_the_paper_quotes(
    main: pd.DataFrame, backbone: str, rff: float, dropout: float
) -> None:
    mean = main[main["backbone"] == backbone].groupby("regularizer")["value"].mean()
    assert round(mean["rff"] - mean["none"], 2) == rff
    assert round(mean["dropout"] - mean["none"], 2) == dropout


def test_suspects_are_the_misprints(frame: pd.DataFrame) -> None:
    suspects = frame[frame["suspect"]]
    assert set(suspects["table"]) == {"psnr_main"}
    cells = suspects[["backbone", "regularizer", "dataset", "degradation", "value"]]
    assert sorted(cells.itertuples(index=False, name=None)) == sorted(published.MISPRINTS)


def test_misprints_stand_out_of_their_rows(main: pd.DataFrame) -> None:
    """Each makes a gain over none at least twice that of any other case of its network and benchmark."""
    table = main.pivot(index=["backbone", "dataset", "degradation"], columns="regularizer", values="value")
    gain = table["rff"] - table["none"]
    for backbone, _, dataset, case, _ in published.MISPRINTS:
        row = gain[backbone, dataset]
        assert row[case] > 2 * row.drop(case).max()


def test_each_call_returns_a_frame_of_its_own() -> None:
    first = published.load()
    first["value"] = 0.0
    assert (published.load()["value"] > 0).all()
