"""Rows of differences: which numbers go in, what the marks and footnotes say, several seeds, holes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blindsr.reporting import differences, statistics
from blindsr.runtime.errors import UserError

CASES = ["clean", "noise"]


def scores(gains, seeds=(0, 1, 2), images=30, benchmark="Toy", noise=0.05):
    """Per-image PSNR of net-none and of each regularizer, which gains {(reg, case): dB} with a little noise."""
    generator = np.random.default_rng(images)
    rows = []
    for reg in ("none", *dict.fromkeys(reg for reg, _ in gains)):
        for seed in seeds:
            for case in CASES:
                for image in range(images):
                    value = 25 + image % 7 + gains.get((reg, case), 0) + noise * generator.normal()
                    rows.append((benchmark, case, f"{image:03d}", value, "net", reg, seed))
    return pd.DataFrame(rows, columns=["benchmark", "case", "image", "psnr_db", "backbone", "reg", "seed"])


GAINS = {("rff", "clean"): 0.2, ("rff", "noise"): 0.0, ("dropout", "clean"): -0.2, ("dropout", "noise"): 0.0}


def test_gains_and_losses_are_marked_and_the_rest_is_not():
    rows = differences.per_case(scores(GAINS), ["Toy"], CASES, "psnr_db").set_index(["reg", "case"])
    assert rows["mark"].to_dict() == {
        ("rff", "clean"): "better",
        ("rff", "noise"): "equivalent",
        ("dropout", "clean"): "worse",
        ("dropout", "noise"): "equivalent",
    }
    one = rows.loc[("rff", "clean")]
    assert one["low"] < 0.2 < one["high"]
    assert (one["images"], one["seeds"]) == (30, 3)
    np.testing.assert_allclose(rows["p_holm"], statistics.holm(rows["p"]))


def test_gains_of_three_lucky_runs_are_not_marked():
    """Seeds that differ much: every image of these runs gains, which says nothing of other runs."""
    table = scores({("rff", "clean"): 0.0, ("rff", "noise"): 0.0}, seeds=(0, 1, 2))
    runs = {("rff", 0): 1.0, ("rff", 1): -0.6, ("rff", 2): 0.3}
    table["psnr_db"] += [runs.get(key, 0.0) for key in zip(table["reg"], table["seed"], strict=True)]
    rows = differences.per_case(table, ["Toy"], CASES, "psnr_db")
    assert (rows["rank_biserial"] > 0.9).all()
    assert (rows["p_holm"] > 0.05).all()
    assert ((rows["low"] < 0) & (rows["high"] > 0)).all()
    assert (rows["mark"] == "").all()
    assert (rows["seeds"] == 3).all()


def test_no_difference_is_said_where_it_is_shown():
    """0 ± 0.01 dB is equivalent, 0 ± 0.1 is merely unknown, and 0.03 ± 0.005 is better, however small."""
    gains = {("rff", "clean"): 0.0, ("rff", "noise"): 0.03}
    sure = differences.per_case(scores(gains, noise=0.01, images=60), ["Toy"], CASES, "psnr_db")
    assert sure["mark"].tolist() == ["equivalent", "better"]
    vague = differences.per_case(scores(gains, noise=0.8, images=20), ["Toy"], CASES, "psnr_db")
    assert vague["mark"].tolist() == ["", ""]
    assert (vague["p_equivalent"] > 0.05).all()


def test_one_seed_has_intervals_and_no_marks(tmp_path: Path):
    rows = differences.per_case(scores(GAINS, seeds=(0,)), ["Toy"], CASES, "psnr_db")
    assert rows[["low", "high"]].notna().all(axis=None)
    assert rows[["p", "p_holm", "p_equivalent"]].isna().all(axis=None)
    assert (rows["mark"] == "").all()
    differences.write(rows, tmp_path / "one", title="T", seeds=1, notes=[])
    assert "One seed: the intervals say what other images would do" in (tmp_path / "one.md").read_text()


def test_numbers_by_hand_for_two_seeds():
    """Means of two seeds on two images: 30 and 31 against 29 and 29.5."""
    values = {
        ("none", 0): (28.0, 29.0),
        ("none", 1): (30.0, 30.0),
        ("rff", 0): (30.0, 32.0),
        ("rff", 1): (30.0, 30.0),
    }
    rows = [
        ("Toy", "clean", name, value, "net", reg, seed)
        for (reg, seed), pair in values.items()
        for name, value in zip(("b", "a"), pair, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["benchmark", "case", "image", "psnr_db", "backbone", "reg", "seed"])
    row = differences.per_case(frame, ["Toy"], ["clean"], "psnr_db").iloc[0]
    assert row["difference"] == pytest.approx(1.25)
    assert row["rank_biserial"] == 1
    assert row["cohens_d"] == pytest.approx(1.25 / np.std([1.0, 1.5], ddof=1))


def test_pooled_counts_benchmarks_alike_and_an_image_once():
    big, small = scores(GAINS, images=40), scores({("rff", "clean"): 1.0, ("rff", "noise"): 0.6}, images=8, noise=0)
    both = pd.concat([big[big["reg"] != "dropout"], small.assign(benchmark="Small")])
    row = differences.pooled(both, ["Toy", "Small", "Gone"], CASES, "psnr_db").iloc[0]
    means = big.groupby(["reg", "case"])["psnr_db"].mean()
    of_big = (means["rff"] - means["none"]).mean()
    assert row["difference"] == pytest.approx((of_big + 0.8) / 2)
    assert row["images"] == 48
    assert (row["benchmark"], row["case"]) == ("all", "mean")


def test_another_baseline(tmp_path: Path):
    """Differences of means are what they are, whichever row is subtracted; the table says which."""
    table = scores(GAINS)
    rows = differences.pooled(table, ["Toy"], CASES, "psnr_db", baseline="dropout").set_index("reg")
    means = table.groupby("reg")["psnr_db"].mean()
    assert rows["difference"].to_dict() == pytest.approx(
        {reg: means[reg] - means["dropout"] for reg in ("none", "rff")}
    )
    differences.write(rows.reset_index(), tmp_path / "d", title="T", seeds=1, notes=[], baseline="dropout")
    assert "of the regularizer minus `dropout`" in (tmp_path / "d.md").read_text()


def test_a_missing_benchmark_keeps_its_rows(tmp_path: Path):
    rows = differences.per_case(scores(GAINS), ["Toy", "Gone"], CASES, "psnr_db")
    gone = rows[rows["benchmark"] == "Gone"]
    assert len(gone) == 4
    assert gone["p_holm"].isna().all()
    differences.write(rows, tmp_path / "d", title="T", seeds=1, notes=["Gone is missing."])
    text = (tmp_path / "d.md").read_text()
    assert "| Gone" in text
    assert "—" in text
    assert text.endswith("Gone is missing.\n")
    csv = pd.read_csv(tmp_path / "d.csv")
    assert csv["difference"].notna().sum() == 4
    assert {"benchmark", "backbone", "reg", "case", "low", "high", "p", "p_holm", "mark"} <= set(csv)


def test_footnotes_say_how_the_table_is_read(tmp_path: Path):
    rows = differences.per_case(scores(GAINS), ["Toy"], CASES, "psnr_db")
    differences.write(rows, tmp_path / "d", title="T", seeds=3, notes=[])
    text = (tmp_path / "d.md").read_text()
    assert "t test over the 3 seeds and the images nested in them, Holm-corrected for the 4 comparisons" in text
    assert "a difference of more than 0.05 dB to either side is refuted" in text


def test_same_bytes(tmp_path: Path):
    for stem in ("a", "b"):
        rows = differences.per_case(scores(GAINS, seeds=(0, 1)), ["Toy"], CASES, "psnr_db")
        differences.write(rows, tmp_path / stem, title="T", seeds=2, notes=[])
    for suffix in (".md", ".csv"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_scores_that_do_not_fit_are_one_line():
    table = scores(GAINS)
    with pytest.raises(UserError, match="net-rff on Toy lack images or cases"):
        differences.per_case(table.drop(table[(table["reg"] == "rff")].index[:1]), ["Toy"], CASES, "psnr_db")
    with pytest.raises(UserError, match="different images"):
        differences.per_case(table[(table["reg"] != "rff") | (table["image"] < "010")], ["Toy"], CASES, "psnr_db")


def test_nothing_to_compare_is_an_empty_table(tmp_path: Path):
    rows = differences.per_case(scores({}), ["Toy"], CASES, "psnr_db")
    assert rows.empty
    differences.write(rows, tmp_path / "none", title="T", seeds=1, notes=[])
    assert (tmp_path / "none.csv").read_text().startswith("benchmark,backbone,reg,case")


def test_rows_of_other_images_than_the_baseline_are_one_line():
    """As many images, but not the same."""
    table = scores(GAINS)
    rff = table["reg"] == "rff"
    table.loc[rff, "image"] = table.loc[rff, "image"] + "x"
    with pytest.raises(UserError, match=r"net-rff and net-none were scored on different images of Toy: run `dvc"):
        differences.per_case(table, ["Toy"], CASES, "psnr_db")


def test_arrays_are_in_the_order_of_seeds_and_images():
    table = scores(GAINS, seeds=(1, 0), images=3, noise=0)
    table["psnr_db"] += table["seed"]
    found = differences.arrays(table.sample(frac=1, random_state=0), ["noise", "clean"], "psnr_db")
    assert set(found) == {("Toy", "net", reg) for reg in ("none", "rff", "dropout")}
    rff = found["Toy", "net", "rff"]
    assert rff.shape == (2, 3, 2)
    np.testing.assert_allclose(rff[0], [[25, 25.2], [26, 26.2], [27, 27.2]])
    np.testing.assert_allclose(rff[1], rff[0] + 1)
    assert differences.arrays(table.iloc[:0], CASES, "psnr_db") == {}
