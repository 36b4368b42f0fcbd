"""Tables of the analyses by hand: products, last quarters, ratios, holes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blindsr.config.run import Run
from blindsr.reporting import analyses
from blindsr.runtime.errors import UserError

RUNS = [Run("net", "none", 0), Run("net", "rff", 0), Run("net", "rff", 1)]


def markdown(stem: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """(backbone, reg) -> column -> cell, of the CSV."""
    frame = pd.read_csv(stem.with_suffix(".csv"), dtype=str, keep_default_na=False)
    return {(row["backbone"], row["reg"]): row for row in frame.to_dict("records")}


def test_read_names_the_cell_of_every_row(tmp_path: Path):
    for number, run in enumerate(RUNS):
        (tmp_path / run.name).mkdir()
        points = pd.DataFrame({"case": ["NA", "clean"], "x": [number, number], "y": 0.5})
        points.to_csv(tmp_path / run.name / "plane.csv", index=False)
    frame = analyses.read(RUNS, tmp_path, "plane")
    assert frame.to_numpy().tolist()[-2] == ["net", "rff", 1, "NA", 2, 0.5]
    assert len(frame) == 6
    with pytest.raises(UserError, match=r"cost.csv is missing: run `dvc repro`"):
        analyses.read(RUNS, tmp_path, "cost")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("case,x,y\n", "has no rows, and others have"),
        ("case,x,y\nclean,1,abc\n", "has text in its column y"),
        ("case,x,y\nclean,1,inf\n", "has an infinite number in its column y"),
        ("case;x;y\nclean;1;2\n", "has no column case"),
        ("case,x,y\nclean,1,2\nclean,1", "is damaged"),
        ("case,x,y\nclean,1,2", "is cut off"),
    ],
)
def test_a_damaged_analysis_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    for run in RUNS:
        (tmp_path / run.name).mkdir()
        (tmp_path / run.name / "plane.csv").write_text("case,x,y\nclean,1,2\n")
    (tmp_path / "net-rff-0" / "plane.csv").write_text(text)
    with pytest.raises(UserError, match=rf"net-rff-0/plane\.csv {says}.*: delete it and run `dvc repro`"):
        analyses.read(RUNS, tmp_path, "plane")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("iteration,l1,penalty\n", "has no rows"),
        ("iteration,penalty\n20,0.5\n", "has no column l1"),
        ("iteration,l1,penalty,weight\n20,0.5,0,soon\n", "has text in its column weight"),
        ("iteration,l1,penalty\n20,0.5,0\n20,0.5,0\n", r"has a row twice \(20\)"),
        ("iteration,l1,penalty\n,0.5,0\n", "has an empty cell in its column iteration"),
    ],
)
def test_a_damaged_curve_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    for run in RUNS:
        (tmp_path / f"{run}.csv").write_text("iteration,l1,penalty\n20,0.5,0\n")
    assert len(analyses.read_curves(RUNS, tmp_path, ["l1"])) == 3
    (tmp_path / "net-rff-0.csv").write_text(text)
    with pytest.raises(UserError, match=rf"net-rff-0\.csv {says}: delete it and run `dvc repro`"):
        analyses.read_curves(RUNS, tmp_path, ["l1"])


def test_cost_is_that_of_the_whole_run(tmp_path: Path):
    costs = pd.DataFrame(
        {
            "backbone": "net", "reg": ["none", "rff", "rff"], "seed": [0, 0, 1], "parameters": 1000,
            "lr_images": 8, "hr_patches": [8, 4, 4], "iteration_flops": [2e9, 2.5e9, 2.5e9],
            "penalty_flops": [0.0, 0.5e9, 0.5e9], "iterations": 500,
        }
    )  # fmt: skip
    index = pd.MultiIndex.from_tuples(
        [("Toy", "bicubic", "bicubic"), ("Toy", "net", "none"), ("Toy", "net", "rff"), ("Gone", "net", "rff")],
        names=["benchmark", "backbone", "reg"],
    )
    psnr = pd.DataFrame({"clean": [20.0, 25, 26, np.nan], "mean": [20.0, 25.0, 26.5, np.nan]}, index=index)
    analyses.cost(costs, psnr, tmp_path / "cost", title="T")
    rows = markdown(tmp_path / "cost")
    assert rows["net", "rff"] == {
        "backbone": "net", "reg": "rff", "parameters": "1000", "iterations": "500", "LR images seen": "4000",
        "HR patches seen": "2000", "training TFLOP": "1.25", "of it penalty (%)": "20.00", "mean psnr_db": "26.50",
    }  # fmt: skip
    assert rows["bicubic", "bicubic"]["training TFLOP"] == ""
    assert rows["bicubic", "bicubic"]["mean psnr_db"] == "20.00"
    assert "hours" not in (tmp_path / "cost.csv").read_text().lower()


def test_regularizers_are_judged_by_their_last_quarter(tmp_path: Path):
    def curve(reg, seed, scale):
        iterations = np.arange(10, 90, 10)
        late = iterations > 60
        return pd.DataFrame(
            {
                "backbone": "net", "reg": reg, "seed": seed, "iteration": iterations, "l1": np.where(late, 0.05, 9),
                "penalty": scale * np.where(late, 1e-3, 4e-3), "view_distance": scale * np.where(late, 0.2, 9),
                "penalty_gradient_share": scale * np.where(late, 0.25, 9),
            }
        )  # fmt: skip

    curves = pd.concat([curve("none", 0, 0.0), curve("rff", 0, 1.0), curve("rff", 1, 2.0)])
    analyses.regularizers(curves, ["l1"], {"none": 0.0, "rff": 1000.0}, tmp_path / "r", title="T")
    rows = markdown(tmp_path / "r")
    assert rows["net", "rff"] == {
        "backbone": "net", "reg": "rff", "weight": "1000", "L1": "0.05", "penalty": "0.0015",
        "share of gradient (%)": "37.5", "view distance": "0.3", "penalty: first / last": "4",
    }  # fmt: skip
    assert rows["net", "none"]["view distance"] == ""
    assert rows["net", "none"]["L1"] == "0.05"
    assert "over that plus the norm of L1's." in (tmp_path / "r.md").read_text()


def test_every_loss_has_a_column(tmp_path: Path):
    curve = {"backbone": "net", "reg": "none", "seed": 0, "iteration": [1, 2], "penalty": 0.0}
    curves = pd.DataFrame(curve | {"charbonnier": [0.5, 0.25], "perceptual": [2.0, 0.0]})
    losses = ["charbonnier", "perceptual"]
    analyses.regularizers(curves, losses, {"none": 0.0}, tmp_path / "r", title="T")
    row = markdown(tmp_path / "r")["net", "none"]
    assert (row["Charbonnier"], row["Perceptual"], row["penalty"]) == ("0.25", "0", "")
    assert "over that plus the norm of the losses' together." in (tmp_path / "r.md").read_text()


def test_divergences_of_the_validation_stand_beside_each_other(tmp_path: Path):
    curves = pd.DataFrame(
        {
            "backbone": "net", "reg": "rff", "seed": 0, "iteration": [4, 8], "l1": 0.1, "penalty": 0.5,
            "view_divergence": [0.4, 0.2], "content_divergence": [3.0, 2.5], "covariance_share": [0.1, 0.002],
        }
    )  # fmt: skip
    analyses.regularizers(curves, ["l1"], {"rff": 1.0}, tmp_path / "r", title="T")
    row = markdown(tmp_path / "r")["net", "rff"]
    assert row["view divergence (validation)"] == "0.2"
    assert row["content divergence (validation)"] == "2.5"
    assert row["covariance of raw penalty (%)"] == "0.2"
    assert "near 0 means features that do not depend on the image" in (tmp_path / "r.md").read_text()


def test_representation_has_a_column_per_layer_and_label(tmp_path: Path):
    found = pd.DataFrame(
        {
            "backbone": "net", "reg": ["none", "none", "rff"], "seed": 0, "layer": "last",
            "label": ["degradation", "content", "degradation"], "chi": [4.0, 20, 0.5], "low": [2.0, 10, np.nan],
            "high": [8.0, 40, np.nan],
        }
    )  # fmt: skip
    analyses.representation(found, tmp_path / "r", title="T")
    rows = markdown(tmp_path / "r")
    assert rows["net", "none"]["last by degradation"] == "4 [2, 8]"
    assert rows["net", "none"]["last by content"] == "20 [10, 40]"
    assert rows["net", "rff"]["last by degradation"] == ""


def strengths(dropped=(0.36, 0.36)):
    """Two crops: order 3 has the squared strength 1 and leaves `dropped` of it under Dropout."""
    rows = [
        ("Toy", "a", 0, left, order, rate, value)
        for left, share in enumerate(dropped)
        for order, rate, value in ((0, 0.0, 0.25), (3, 0.0, 1.0), (3, 0.5, share))
    ]
    columns = ["benchmark", "image", "top", "left", "order", "rate", "squared_strength"]
    return pd.DataFrame(rows, columns=columns).assign(backbone="net", reg="rff", seed=0)


def test_what_dropout_leaves_is_a_ratio_of_root_mean_squares(tmp_path: Path):
    summary = analyses.interaction_strengths(strengths()).set_index(["order", "rate"])
    assert summary.loc[(0, 0.0), "strength"] == pytest.approx(0.5)
    assert summary.loc[(3, 0.5), ["share", "low", "high"]].tolist() == pytest.approx([0.6, 0.6, 0.6])
    uneven = analyses.interaction_strengths(strengths((0.0, 0.72))).set_index(["order", "rate"])
    assert uneven.loc[(3, 0.5), ["share", "low", "high"]].tolist() == pytest.approx([0.6, 0.0, np.sqrt(0.72)])
    analyses.interaction(analyses.interaction_strengths(strengths()), tmp_path / "i", title="T")
    row = markdown(tmp_path / "i")["net", "rff"]
    assert (row["order 0"], row["order 3"], row["left at rate 0.5 (%)"]) == ("0.5", "1", "60 [60, 60]")


def test_no_interaction_at_all_is_a_hole(tmp_path: Path):
    still = analyses.interaction_strengths(strengths().assign(squared_strength=0.0))
    assert np.isnan(still["share"]).all()
    analyses.interaction(still, tmp_path / "i", title="T")
    assert markdown(tmp_path / "i")["net", "rff"]["left at rate 0.5 (%)"] == ""


def trained(energy: float = 1.0) -> pd.DataFrame:
    """Two crops of net-none and of net-dropout, the squared strengths of order 4 under each."""
    crops = [("none", 0, 4.0, 2.0), ("none", 1, 2.0, 4.0), ("dropout", 0, 1.0, 2.0), ("dropout", 1, 0.5, 4.0)]
    rows = [("net", reg, 0, "Toy", "a", top, 0, 4, 0.0, strength, of * (energy if reg == "dropout" else 1))
            for reg, top, strength, of in crops]  # fmt: skip
    names = ["backbone", "reg", "seed", "benchmark", "image", "top", "left", "order", "rate"]
    return pd.DataFrame(rows, columns=[*names, "squared_strength", "added_energy"])


def test_interaction_of_trained_networks_is_relative_to_what_they_add():
    """A quarter of the squared strength is half the strength; of a quarter of the energy it is no change."""
    (row,) = analyses.trained_with(trained(), "dropout", "none").to_dict("records")
    assert (row["backbone"], row["order"]) == ("net", 4)
    assert (row["share"], row["low"], row["high"]) == pytest.approx((0.5, 0.5, 0.5))
    (row,) = analyses.trained_with(trained(energy=0.25), "dropout", "none").to_dict("records")
    assert row["share"] == pytest.approx(1)
    assert analyses.trained_with(trained(), "rff", "none").empty
    assert analyses.trained_with(trained().drop(columns="added_energy"), "dropout", "none").empty
