"""Gains from a table."""

import math

import numpy as np
import pandas as pd
import pytest

import blindsr
from blindsr.reporting import statistics
from blindsr.runtime.errors import UserError


def frame(seeds: int = 2) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    rows = [
        {"set": group, "image": f"{group}{image}", "case": case, "seed": seed}
        for group, images in (("A", 3), ("B", 5))
        for image in range(images)
        for case in ("clean", "blur")
        for seed in range(seeds)
    ]
    table = pd.DataFrame(rows)
    return table.assign(mine=30 + draw.normal(size=len(rows)), none=29.5 + draw.normal(size=len(rows)))


def test_it_is_the_comparison_of_the_tables() -> None:
    table = frame()
    sides = [
        np.stack([part.groupby(["set", "image"], sort=True)[name].mean() for _, part in table.groupby("seed")])
        for name in ("mine", "none")
    ]
    wanted = statistics.compare(*(side[:, :, None] for side in sides), groups=[3, 5])
    shuffled = table.sample(frac=1, random_state=1)
    gain = blindsr.paired_gain(shuffled, "mine", "none", seed="seed", group="set")
    assert gain[:5] == pytest.approx([float(value[0]) for value in wanted[:5]], rel=1e-12)
    assert (gain.images, gain.seeds) == (8, 2)
    of_a, of_b = (table[table["set"] == name] for name in "AB")
    means = [float((part["mine"] - part["none"]).mean()) for part in (of_a, of_b)]
    assert gain.mean == pytest.approx(sum(means) / 2)  # each benchmark counts alike


def test_one_seed_has_an_interval_and_no_test() -> None:
    gain = blindsr.paired_gain(frame(1), "mine", "none")
    assert gain.low < gain.mean < gain.high
    assert math.isnan(gain.p)
    assert str(gain) == f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] (8 images, 1 seed)"


def test_one_image_has_no_interval() -> None:
    one = frame(1)
    gain = blindsr.paired_gain(one[one["image"] == "A0"], "mine", "none")
    assert str(gain) == f"{gain.mean:+.3f} without an interval: too few images (1 image, 1 seed)"


def test_a_baseline_that_is_not_trained_counts_once() -> None:
    table = frame(3)
    table["bicubic"] = table["image"].map({name: number / 10 for number, name in enumerate(table["image"].unique())})
    gain = blindsr.paired_gain(table, "mine", "bicubic", seed="seed", untrained=True)
    assert math.isfinite(gain.p)
    assert f"p = {gain.p:.2g} (8 images, 3 seeds)" in str(gain)


def test_what_does_not_fit_is_said() -> None:
    table = frame()
    with pytest.raises(UserError, match="no column 'theirs': it has set, image"):
        blindsr.paired_gain(table, "mine", "theirs")
    with pytest.raises(UserError, match="no rows"):
        blindsr.paired_gain(table[:0], "mine", "none")
    with pytest.raises(UserError, match="1 of 32 rows lack a finite score"):
        blindsr.paired_gain(table.assign(mine=table["mine"].where(table.index != 3)), "mine", "none")
    with pytest.raises(UserError, match="image A0 has no score of every seed"):
        blindsr.paired_gain(table[(table["image"] != "A0") | (table["seed"] == 0)], "mine", "none", seed="seed")
    with pytest.raises(UserError, match="column 'mine' holds no numbers"):
        blindsr.paired_gain(table.assign(mine="x"), "mine", "none")
    with pytest.raises(ValueError, match="margin must be above 0"):
        blindsr.paired_gain(table, "mine", "none", margin=0)
