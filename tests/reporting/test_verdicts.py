"""Each claim of the paper with planted numbers: supported, contradicted, undecided, not testable."""

import numpy as np
import pandas as pd
import pytest

from blindsr.reporting import statistics, verdicts
from blindsr.reporting.paper.paper_tables import Grid
from blindsr.reporting.verdicts import Comparison, Evidence

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
RESCALED = "Alignment (RFF) raises PSNR over the baseline at its best amplitude"
RIGHT = "Alignment (RFF) adds detail that is more right than the baseline's"
BILINEAR = "Networks with alignment (RFF) have more PSNR than bilinear upsampling"
SPECTRA = "Dropout loses fine detail: its spectra are further off at high frequencies"
DIVERSITY = "Dropout leaves channels that are less diverse in frequency"
CLUSTERS = "Features are less clustered by degradation with alignment (RFF)"
INTERACTION = "Dropout weakens the interaction of patches"


def grid(
    gains: dict[str, float | list[float]],
    *,
    lpips: dict[str, float] | None = None,
    real: dict[str, float] | None = None,
    cosine: dict[str, float] | None = None,
    bilinear: float | None = None,
    images: int = 30,
    seeds: int = 3,
    others: dict[str, dict[str, float]] | None = None,
) -> Grid:
    """Regularizer -> gain in dB over the baseline, of all cases or of each, on Toy; three seeds, noise of 0.02 dB.

    `others` are further benchmarks; `lpips`, `real`, `cosine` and `bilinear` differences to the baseline likewise.
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
    if bilinear is not None:
        psnr["Toy", "bilinear", "bilinear"] = scored(bilinear)[:1]
    cosines = {("Toy", "net", reg): row(gain, 0.002, 1) for reg, gain in (cosine or {}).items()}
    return Grid(["net"], list(gains), list(sets), CASES, psnr, found, tracks, cosines)


def judged(known: Grid, **evidence: pd.DataFrame) -> dict[str, verdicts.Verdict]:
    return {one.claim: one for one in verdicts.judge(known, Evidence(**evidence))}


def test_every_claim_has_a_verdict_whatever_is_here() -> None:
    nothing = judged(Grid(["net"], [], [], CASES, {}, {}, {}, {}))
    assert list(nothing) == [
        RAISES, DROPOUT, HARDEST, WORSE, BETTER, CONTROL, RESCALED, RIGHT, BILINEAR, NTIRE, LINEAR, UNSTABLE, SPECTRA,
        DIVERSITY, CLUSTERS, INTERACTION,
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
        (RESCALED, grid({"none": 0, "none_rescaled": 0.2, "rff": 0.3}), "supported"),
        (RESCALED, grid({"none": 0, "none_rescaled": 0.4, "rff": 0.3}), "contradicted"),
        (RESCALED, grid({"none": 0, "rff": 0.3}), "not testable"),
        (RIGHT, grid({"none": 0}, cosine={"none": 0, "rff": 0.01}), "supported"),
        (RIGHT, grid({"none": 0, "rff": 0.3}, cosine={"none": 0, "rff": -0.01}), "contradicted"),
        (RIGHT, grid({"none": 0}, cosine={"none": 0, "rff": 0}), "undecided"),
        (BILINEAR, grid({"none": 0, "rff": 0.3}, bilinear=0.1), "supported"),
        (BILINEAR, grid({"none": 0, "rff": 0.3}, bilinear=0.5), "contradicted"),
        (BILINEAR, grid({"none": 0, "rff": 0.3}), "not testable"),
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
        assert "one training run" in one.numbers
        assert "cannot tell" in one.numbers


def test_numbers_by_hand() -> None:
    """Gains of 0.3 and 0.1 dB without noise: their mean 0.2, and each with an interval of no width."""
    base = np.arange(30.0).reshape(1, 30, 1).repeat(4, axis=2).repeat(2, axis=0)
    psnr = {("A", "rrdb", "none"): base, ("A", "rrdb", "rff"): base + 0.3, ("B", "rrdb", "none"): base,
            ("B", "rrdb", "rff"): base + 0.1}  # fmt: skip
    one = judged(Grid(["rrdb"], ["none", "rff"], ["A", "B"], CASES, psnr, {}, {}, {}))[RAISES]
    assert one == (
        RAISES,
        "Table 1",
        "supported",
        "Of 2 differences, 2 certainly speak for it. Their mean is +0.200 dB, from +0.100 dB "
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
    rows = [("net", reg, seed, layer, label, *(value * factor for value in values))
            for seed in (0, 1)
            for reg, values in (("rff", ours), ("none", plain))
            for layer, label, factor in (("last", "degradation", 1), ("last", "content", -1),
                                         ("blocks.0", "degradation", -1))]  # fmt: skip
    return pd.DataFrame(rows, columns=["backbone", "reg", "seed", "layer", "label", "chi", "low", "high"])


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
    one = judged(grid({"none": 0, "rff": 0}), separation=separation(ours, plain))[CLUSTERS]
    assert one.verdict == verdict
    if verdict == "supported":
        assert "net 1 [0.5, 1.5] against 3 [2, 4]" in one.numbers


@pytest.mark.parametrize("lone", ["rff", "none"])
def test_clusters_of_one_training_run_decide_nothing(lone: str) -> None:
    frame = separation((1.0, 0.5, 1.5), (3.0, 2.0, 4.0)).query("seed == 0 or reg != @lone")
    one = judged(grid({"none": 0, "rff": 0}), separation=frame)[CLUSTERS]
    assert one.verdict == "undecided"
    assert one.numbers.endswith("[2, 4]; one training run of a side cannot tell.")


def test_clusters_need_both_sides_of_every_network() -> None:
    frame = separation((1.0, 0.5, 1.5), (3.0, 2.0, 4.0))
    for part in (frame[frame["reg"] == "rff"], frame[frame["layer"] == "blocks.0"]):
        assert judged(grid({"none": 0, "rff": 0}), separation=part)[CLUSTERS].verdict == "not testable"


def strengths(*left: float, energy: float = 1.0, reg: str = "dropout") -> pd.DataFrame:
    """Crops whose interaction of order 14 has the squared strength 1 without a regularizer, and `left` with `reg`."""
    rows = [
        ("net", name, "Toy", "a", 0, place, order, 0.0, value, energy if name == reg else 1.0)
        for place, share in enumerate(left)
        for name, value in (("none", 1.0), (reg, share))
        for order in (0, 14)
    ]
    columns = ["backbone", "reg", "benchmark", "image", "top", "left", "order", "rate", "squared_strength"]
    table = pd.DataFrame(rows, columns=[*columns, "added_energy"])
    return pd.concat([table.assign(seed=seed) for seed in (0, 1)])


@pytest.mark.parametrize(
    ("left", "energy", "verdict"),
    [
        ((0.25, 0.25, 0.36), 1.0, "supported"),
        ((1.44, 1.44, 1.69), 1.0, "contradicted"),
        ((0.25, 1.69, 1.0), 1.0, "undecided"),
        ((0.25, 0.25, 0.36), 0.1, "contradicted"),  # it adds a tenth of the energy: what is left is strong
    ],
)
def test_of_interaction(left: tuple[float, ...], energy: float, verdict: str) -> None:
    found = judged(grid({"none": 0}), interaction=strengths(*left, energy=energy))
    assert found[INTERACTION].verdict == verdict


def test_interaction_is_of_networks_trained_with_dropout() -> None:
    found = judged(grid({"none": 0}), interaction=strengths(0.25, 0.36, reg="rff"))[INTERACTION]
    assert found.verdict == "not testable"
    one = judged(grid({"none": 0}), interaction=strengths(0.25, 0.25))[INTERACTION]
    assert "net 50% [50%, 50%]" in one.numbers
    lone = judged(grid({"none": 0}), interaction=strengths(0.25, 0.25).query("seed == 0"))[INTERACTION]
    assert (one.verdict, lone.verdict) == ("supported", "undecided")
    assert lone.numbers.endswith("net 50% [50%, 50%]; one training run of a side cannot tell.")
    older = judged(grid({"none": 0}), interaction=strengths(0.25, 0.25).drop(columns="added_energy"))[INTERACTION]
    assert older.verdict == "not testable"


def by_image(gain: float, column: str, bands: tuple[float, ...] = (0.0,)) -> pd.DataFrame:
    """Ten images of two runs of net-none and net-dropout, which differ by `gain` in every band, and by noise."""
    generator = np.random.default_rng(0)
    rows = [
        ("net", reg, seed, "Toy", case, f"{image}", band, value + own + generator.normal() / 9)
        for seed in (0, 1)
        for reg, own in (("none", 0.0), ("dropout", gain))
        for case in ("clean", "blur")
        for image in range(10)
        for band, value in enumerate(bands)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["backbone", "reg", "seed", "benchmark", "case", "image", "band", column])


@pytest.mark.parametrize(("gain", "verdict"), [(2.0, "supported"), (-2.0, "contradicted"), (0.0, "undecided")])
def test_of_spectra_where_they_are_not_saturated(gain: float, verdict: str) -> None:
    """Bands 0 to 3 count, of which 2 and 3 are the upper half; what happens in the lower ones does not matter."""
    found = by_image(gain, "mape_percent", bands=(10.0, 30.0, 50.0, 80.0, 98.0, 99.0))
    found.loc[found["band"] < 2, "mape_percent"] -= 40.0 * (found["reg"] == "dropout") * np.sign(gain)
    one = judged(grid({"none": 0}), frequency=found)[SPECTRA]
    assert one.verdict == verdict
    assert one.numbers.startswith("Error in the bands 2, 3 of 6, with Dropout minus without: net ")


@pytest.mark.parametrize(("gain", "verdict"), [(-0.5, "supported"), (0.5, "contradicted"), (0.0, "undecided")])
def test_of_diversity(gain: float, verdict: str) -> None:
    found = by_image(gain, "entropy_nats").drop(columns="band")
    assert judged(grid({"none": 0}), entropy=found)[DIVERSITY].verdict == verdict
    lone = judged(grid({"none": 0}), entropy=found.query("seed == 0 or reg == 'none'"))[DIVERSITY]
    assert lone.verdict == "undecided"
    assert lone.numbers.endswith("; one training run of a side cannot tell.")


def test_means_over_images_decide_neither() -> None:
    for name, claim, column in (("frequency", SPECTRA, "mape_percent"), ("entropy", DIVERSITY, "entropy_nats")):
        older = by_image(1.0, column).drop(columns="image")
        assert judged(grid({"none": 0}), **{name: older})[claim].verdict == "not testable"
        alone = by_image(1.0, column).query("reg == 'none'")
        assert judged(grid({"none": 0}), **{name: alone})[claim].verdict == "not testable"
