"""Rows of the split: planted residuals come out as what they are, seeds and benchmarks counted as they should."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blindsr.reporting import differences, gain_split, split_table
from blindsr.reporting.gain_split import Split, split

CASES = ["clean", "noise"]


def scores(scaled=1.0, turned=0.0, seeds=(0, 1), images=30, benchmark="Toy", reg="rff"):
    """Cosine and amplitude of net-none, of net-REG with a residual that was scaled or turned, and of bicubic."""
    generator = np.random.default_rng(images)
    rows = []
    for case in CASES:
        for image in range(images):
            c, g = generator.uniform(0.2, 0.5), generator.uniform(0.6, 1.0)
            for seed in seeds:
                noise = 0.005 * generator.normal(size=2)
                rows.append((benchmark, case, f"{image:03d}", c + noise[0], g + noise[1], "net", "none", seed))
                noise = 0.005 * generator.normal(size=2)
                other = c + turned + noise[0], (g + noise[1]) * scaled
                rows.append((benchmark, case, f"{image:03d}", *other, "net", reg, seed))
            rows.append((benchmark, case, f"{image:03d}", np.nan, 0.0, "bicubic", "", 0))
    names = ["benchmark", "case", "image", "detail_cosine", "detail_amplitude", "backbone", "reg", "seed"]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize(("planted", "other"), [("amplitude", "direction"), ("direction", "amplitude")])
def test_a_planted_part_is_found_and_the_other_is_not(planted: str, other: str) -> None:
    change = {"scaled": 0.8} if planted == "amplitude" else {"turned": 0.1}
    rows = split_table.pooled(scores(**change), ["Toy"], CASES).set_index("case")
    assert list(rows.index) == list(Split._fields)
    assert rows.loc[planted, "mark"] == rows.loc["total", "mark"] == "better"
    assert rows.loc[other, "mark"] == "equivalent"
    assert rows.loc["total", "difference"] == pytest.approx(rows.loc[[planted, other], "difference"].sum(), abs=1e-9)
    assert (rows["images"] == 30).all()
    assert (rows["seeds"] == 2).all()


def test_numbers_by_hand_for_two_seeds_of_one_image_each() -> None:
    """The mean over all four pairs of runs, then over benchmarks, whatever their size."""
    tables = [scores(0.8, 0.05, images=count, benchmark=name) for count, name in ((2, "a"), (5, "b"))]
    table = pd.concat(tables, ignore_index=True)
    rows = split_table.pooled(table, ["a", "b", "absent"], CASES).set_index("case")
    wanted = []
    for name in ("a", "b"):
        own = table[table["benchmark"] == name]
        values = []
        for s in (0, 1):
            for t in (0, 1):
                one, other = (
                    own[(own["reg"] == reg) & (own["seed"] == seed)] for reg, seed in (("rff", s), ("none", t))
                )
                made = split(
                    *(one[column].to_numpy() for column in gain_split.NEEDED),
                    *(other[column].to_numpy() for column in gain_split.NEEDED),
                )
                values.append([float(getattr(made, part).mean()) for part in Split._fields])
        wanted.append(np.mean(values, axis=0))
    np.testing.assert_allclose(rows["difference"], np.mean(wanted, axis=0), atol=1e-9)


def test_no_score_leaves_empty_rows() -> None:
    rows = split_table.pooled(scores(), ["absent"], CASES)
    assert rows["difference"].isna().all()
    assert list(rows["case"]) == list(Split._fields)


def test_the_column_of_the_parts_is_named(tmp_path: Path) -> None:
    rows = split_table.pooled(scores(0.8), ["Toy"], CASES)
    differences.write(rows, tmp_path / "split", title="T", seeds=2, notes=["how"], case="part")
    assert (tmp_path / "split.csv").read_text().startswith("benchmark,backbone,reg,part,images")
    assert "| part " in (tmp_path / "split.md").read_text()
