"""Each claim of the paper with planted numbers: supported, contradicted, undecided, not testable."""

import numpy as np
import pandas as pd
import pytest

from blindsr.reporting import analyses, statistics, verdicts
from blindsr.reporting.paper.paper_tables import Grid
from blindsr.reporting.verdicts import Comparison

CASES = ["clean", "blur", "b+n+j"]
RAISES = "Alignment (RFF) raises PSNR everywhere"
DROPOUT = "Alignment (RFF) beats Dropout everywhere"
HARDEST = "The gain of alignment is smallest under b+n+j"
WORSE = "Dropout raises LPIPS (looks worse)"
BETTER = "Alignment (RFF) lowers LPIPS (looks better)"
CONTROL = "Alignment (RFF) raises PSNR over its two views without a penalty"
NTIRE = "Alignment (RFF) raises PSNR on NTIRE 2018"
LINEAR = "Full alignment (RFF) beats linear alignment"
UNSTABLE = "Brute-force alignment falls below the baseline, alignment of moments does not"
CLUSTERS = "Features are less clustered by degradation with alignment (RFF)"
INTERACTION = "Dropout weakens the interaction of patches"


def grid(
    gains: dict[str, float | list[float]],
    *,
    lpips: dict[str, float] | None = None,
    real: dict[str, float] | None = None,
    images: int = 30,
    seeds: int = 3,
    others: dict[str, dict[str, float]] | None = None,
) -> Grid:
    """Regularizer -> gain in dB over the baseline, of all cases or of each, on Toy; three seeds, noise of 0.02 dB.

    `others` are further benchmarks; `lpips` and `real` differences to the baseline likewise.
    """
    generator = np.random.default_rng(0)
    difficulty = generator.normal(25, 2, images)[:, None]

    def row(gain: float | list[float], noise: float = 0.02, columns: int = 3) -> np.ndarray:
        values: np.ndarray = difficulty + np.asarray(gain) + noise * generator.normal(size=(seeds, images, columns))
        return values

    def scored(gain: float | list[float]) -> np.ndarray:
        values = row(gain)
        return np.concatenate([values, values.mean(2, keepdims=True)], axis=2)

    sets = {"Toy": gains} | (others or {})
    psnr = {(name, "net", reg): scored(gain) for name, mine in sets.items() for reg, gain in mine.items()}
    found = {("Toy", "net", reg): row(gain, 0.002, 4) for reg, gain in (lpips or {}).items()}
    tracks = {("NTIRE2018_mild", "net", reg): row(gain, columns=1) for reg, gain in (real or {}).items()}
    return Grid(["net"], list(gains), list(sets), CASES, psnr, found, tracks)


def judged(
    known: Grid, separation: pd.DataFrame | None = None, interaction: pd.DataFrame | None = None
) -> dict[str, verdicts.Verdict]:
    return {one.claim: one for one in verdicts.judge(known, separation, interaction)}


def test_every_claim_has_a_verdict_whatever_is_here() -> None:
    nothing = judged(Grid(["net"], [], [], CASES, {}, {}, {}))
    assert list(nothing) == [
        RAISES, DROPOUT, HARDEST, WORSE, BETTER, CONTROL, NTIRE, LINEAR, UNSTABLE, CLUSTERS, INTERACTION
    ]  # fmt: skip
    assert {one.verdict for one in nothing.values()} == {"not testable"}


@pytest.mark.parametrize(
    ("claim", "known", "verdict"),
    [
        (RAISES, grid({"none": 0, "rff": 0.3}), "supported"),
        (RAISES, grid({"none": 0, "rff": -0.3}), "contradicted"),
        (RAISES, grid({"none": 0, "rff": 0.0}), "undecided"),
        (CONTROL, grid({"none": 0, "two_views": 0.1, "rff": 0.3}), "supported"),
        (CONTROL, grid({"none": 0, "two_views": 0.3, "rff": 0.1}), "contradicted"),
        (CONTROL, grid({"none": 0, "rff": 0.3}), "not testable"),
        (RAISES, grid({"none": 0, "dropout": 0.3}), "not testable"),
        (RAISES, grid({"none": 0, "rff": 0.3}, others={"Other": {"none": 0, "rff": 0.0}}), "undecided"),
        (RAISES, grid({"none": 0, "rff": 0.3}, others={"Other": {"none": 0, "rff": -0.1}}), "contradicted"),
        (DROPOUT, grid({"none": 0, "dropout": 0.1, "rff": 0.3}), "supported"),
        (DROPOUT, grid({"none": 0, "dropout": 0.4, "rff": 0.3}), "contradicted"),
        (DROPOUT, grid({"none": 0, "dropout": 0.3, "rff": 0.3}), "undecided"),
        (DROPOUT, grid({"none": 0, "rff": 0.3}), "not testable"),
        (HARDEST, grid({"none": 0, "rff": [0.5, 0.4, 0.1]}), "supported"),
        (HARDEST, grid({"none": 0, "rff": [0.5, 0.1, 0.4]}), "contradicted"),
        (HARDEST, grid({"none": 0, "rff": [0.5, 0.1, 0.1]}), "undecided"),
        (HARDEST, grid({"none": 0}), "not testable"),
        (WORSE, grid({"none": 0}, lpips={"none": 0, "dropout": 0.01}), "supported"),
        (WORSE, grid({"none": 0}, lpips={"none": 0, "dropout": -0.01}), "contradicted"),
        (WORSE, grid({"none": 0, "dropout": 0.3}), "not testable"),
        (BETTER, grid({"none": 0}, lpips={"none": 0, "rff": -0.01}), "supported"),
        (BETTER, grid({"none": 0}, lpips={"none": 0, "rff": 0.01}), "contradicted"),
        (BETTER, grid({"none": 0}, lpips={"none": 0, "rff": 0.0}), "undecided"),
        (NTIRE, grid({"none": 0}, real={"none": 0, "rff": 0.3}), "supported"),
        (NTIRE, grid({"none": 0}, real={"none": 0, "rff": -0.3}), "contradicted"),
        (NTIRE, grid({"none": 0, "rff": 0.3}), "not testable"),
        (LINEAR, grid({"none": 0, "linear": 0.1, "rff": 0.3}), "supported"),
        (LINEAR, grid({"none": 0, "linear": 0.3, "rff": 0.1}), "contradicted"),
        (LINEAR, grid({"none": 0, "linear": 0.2, "rff": 0.2}), "undecided"),
        (UNSTABLE, grid({"none": 0, "brute_force": -0.3, "linear": 0.1, "rff": 0.3}), "supported"),
        (UNSTABLE, grid({"none": 0, "brute_force": 0.3, "linear": -0.1, "rff": 0.3}), "contradicted"),
        (UNSTABLE, grid({"none": 0, "brute_force": -0.3, "linear": -0.1, "rff": 0.3}), "contradicted"),
        (UNSTABLE, grid({"none": 0, "brute_force": 0.1, "linear": 0.1, "rff": 0.3}), "undecided"),
        (UNSTABLE, grid({"none": 0, "brute_force": -0.3, "rff": 0.3}), "not testable"),
    ],
)
def test_of_scores(claim: str, known: Grid, verdict: str) -> None:
    assert judged(known)[claim].verdict == verdict


def test_one_training_run_decides_nothing() -> None:
    for gain in (0.3, -0.3):
        one = judged(grid({"none": 0, "rff": gain}, seeds=1))[RAISES]
        assert one.verdict == "undecided"
        assert "1 with one training run, which cannot tell" in one.numbers


def test_numbers_by_hand() -> None:
    """Gains of 0.3 and 0.1 dB without noise: their mean 0.2, and each with an interval of no width."""
    base = np.arange(30.0).reshape(1, 30, 1).repeat(4, axis=2).repeat(2, axis=0)
    psnr = {("A", "rrdb", "none"): base, ("A", "rrdb", "rff"): base + 0.3, ("B", "rrdb", "none"): base,
            ("B", "rrdb", "rff"): base + 0.1}  # fmt: skip
    one = judged(Grid(["rrdb"], ["none", "rff"], ["A", "B"], CASES, psnr, {}, {}))[RAISES]
    assert one == (
        RAISES,
        "Table 1",
        "supported",
        "Of 2 differences 2 speak for it and 0 against it with certainty; their mean is +0.200 dB, from +0.100 dB "
        "[+0.100, +0.100] (RRDB, B) to +0.300 dB [+0.300, +0.300] (RRDB, A).",
    )


def test_certainty_is_corrected_over_the_comparisons_of_a_claim() -> None:
    """p between 0.025 and 0.05: enough alone, not beside a second."""
    gains = np.array([0.2, 0.3, 0.4])[:, None, None] + 0.01 * np.arange(6.0).reshape(1, 6, 1)
    one = Comparison("a", gains, np.zeros((3, 6, 1)))
    assert 0.025 < statistics.compare(one.first, one.second).p[0] < 0.05
    assert [(found.sign, found.possible) for found in verdicts.outcomes([one])] == [(1, True)]
    assert [(found.sign, found.possible) for found in verdicts.outcomes([one, one])] == [(0, True)] * 2
    assert verdicts.outcomes([]) == []


def separation(ours: tuple[float, float, float], plain: tuple[float, float, float]) -> pd.DataFrame:
    rows = [("net", reg, 0, space, label, *(value * factor for value in values))
            for reg, values in (("rff", ours), ("none", plain))
            for space, label, factor in (("features", "degradation", 1), ("features", "content", -1),
                                         ("plane", "degradation", -1))]  # fmt: skip
    return pd.DataFrame(rows, columns=["backbone", "reg", "seed", "space", "label", "chi", "low", "high"])


@pytest.mark.parametrize(
    ("ours", "plain", "verdict"),
    [
        ((1.0, 0.5, 1.5), (3.0, 2.0, 4.0), "supported"),
        ((3.0, 2.0, 4.0), (1.0, 0.5, 1.5), "contradicted"),
        ((1.0, 0.5, 2.5), (3.0, 2.0, 4.0), "undecided"),
        ((1.0, np.nan, np.nan), (3.0, 2.0, 4.0), "undecided"),
    ],
)
def test_of_clusters(ours: tuple[float, ...], plain: tuple[float, ...], verdict: str) -> None:
    one = judged(grid({"none": 0, "rff": 0}), separation(ours, plain))[CLUSTERS]
    assert one.verdict == verdict
    if verdict == "supported":
        assert "net 1 [0.5, 1.5] against 3 [2, 4]" in one.numbers


def test_clusters_need_both_sides_of_every_network() -> None:
    frame = separation((1.0, 0.5, 1.5), (3.0, 2.0, 4.0))
    for part in (frame[frame["reg"] == "rff"], frame[frame["space"] == "plane"]):
        assert judged(grid({"none": 0, "rff": 0}), part)[CLUSTERS].verdict == "not testable"


def strengths(*left: float, reg: str = "none") -> pd.DataFrame:
    """Crops whose interaction of order 14 has the squared strength 1, and `left` of it under Dropout at 0.5."""
    rows = [
        ("Toy", "a", 0, place, 14, rate, value)
        for place, share in enumerate(left)
        for rate, value in ((0.0, 1.0), (0.5, share))
    ]
    columns = ["benchmark", "image", "top", "left", "order", "rate", "squared_strength"]
    found = pd.DataFrame(rows, columns=columns).assign(backbone="net", reg=reg, seed=0)
    return analyses.interaction_strengths(found)


@pytest.mark.parametrize(
    ("left", "verdict"),
    [
        ((0.25, 0.25, 0.36), "supported"),
        ((1.44, 1.44, 1.69), "contradicted"),
        ((0.25, 1.69, 1.0), "undecided"),
    ],
)
def test_of_interaction(left: tuple[float, ...], verdict: str) -> None:
    assert judged(grid({"none": 0}), None, strengths(*left))[INTERACTION].verdict == verdict


def test_interaction_is_that_of_the_baseline() -> None:
    found = judged(grid({"none": 0}), None, strengths(0.25, 0.36, reg="rff"))[INTERACTION]
    assert found.verdict == "not testable"
    one = judged(grid({"none": 0}), None, strengths(0.25, 0.25))[INTERACTION]
    assert "net, rate 0.5: 50% [50%, 50%]" in one.numbers
