"""What the numbers at hand say of each claim of the paper."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from blindsr.config.run import BILINEAR
from blindsr.reporting import analyses, differences, statistics
from blindsr.reporting.differences import ALPHA
from blindsr.reporting.paper.paper_tables import BACKBONES, METHODS, TRACKS, Grid, Key
from blindsr.reporting.rescaled import RESCALED
from blindsr.reporting.scores import BASELINE, CONTROL, HARDEST
from blindsr.reporting.statistics import Array

Word = Literal["supported", "contradicted", "undecided", "not testable"]
_SATURATED = 90.0
"""Percent of error above which a band holds next to nothing of the HR: no network differs there."""
_LONE = "; one training run of a side cannot tell."
RULE = (
    "A claim about every network and benchmark is supported if every difference lies on its side with certainty; "
    "contradicted if any lies on the other side with certainty; and undecided otherwise. Certainty of a difference "
    "is p < 0.05 of a t test over seeds and images, after Holm's correction over the comparisons of the claim; with "
    "one training run of a side nothing is certain. Of clusters of features and of interactions the intervals over "
    "crops decide, if at least two training runs of each side were analysed."
)


class Verdict(NamedTuple):
    """A claim, where the paper makes it, the verdict, and the numbers that it rests on."""

    claim: str
    where: str
    verdict: Word
    numbers: str


class Comparison(NamedTuple):
    """Scores (seeds, images, 1) of two rows of the grid; the claim is that the first are larger.

    `groups` are the numbers of images of the benchmarks that are pooled, if there are several: they count alike.
    `untrained`: the second is no training run.
    """

    name: str
    first: Array
    second: Array
    groups: list[int] | None = None
    untrained: bool = False


class Evidence(NamedTuple):
    """What the analyse stage found of all runs, as it writes it; None where there is none."""

    separation: pd.DataFrame | None = None
    interaction: pd.DataFrame | None = None
    frequency: pd.DataFrame | None = None
    entropy: pd.DataFrame | None = None


class Outcome(NamedTuple):
    """A comparison's difference with its interval; `sign` is 1 or -1 where it is surely above or below 0, else 0.

    With one training run of a side (not `possible`) nothing is.
    """

    name: str
    mean: float
    low: float
    high: float
    sign: int
    possible: bool


def judge(grid: Grid, evidence: Evidence) -> list[Verdict]:
    """A verdict for each claim, by `RULE`."""
    ours, plain = "rff", BASELINE
    tracks = {key: scores for key, scores in grid.real.items() if key[0] in TRACKS.values()}
    claims: list[tuple[str, str, list[Comparison], str]] = [
        ("Alignment (RFF) raises PSNR everywhere", "Table 1", _pairs(grid, grid.psnr, ours, plain), "dB"),
        (
            "Alignment (RFF) beats Dropout everywhere",
            "supplement",
            _pairs(grid, grid.psnr, ours, "dropout"),
            "dB",
        ),
        ("The gain of alignment is smallest under b+n+j", "Sec. 5", _other_cases(grid, ours), "dB"),
        ("Dropout raises LPIPS (looks worse)", "Table 2 right", _pairs(grid, grid.lpips, "dropout", plain), "LPIPS"),
        (
            "Alignment (RFF) lowers LPIPS (looks better)",
            "Table 2 right",
            _pairs(grid, grid.lpips, plain, ours),
            "LPIPS",
        ),
        (
            "Alignment (RFF) raises PSNR over its two views without a penalty",
            "control of our own",
            _pairs(grid, grid.psnr, ours, CONTROL),
            "dB",
        ),
        (
            "Alignment (RFF) raises PSNR over the baseline at its best amplitude",
            "control of our own",
            _pairs(grid, grid.psnr, ours, RESCALED),
            "dB",
        ),
        (
            "Alignment (RFF) adds detail that is more right than the baseline's",
            "control of our own",
            _pairs(grid, grid.cosine, ours, plain),
            "of cosine",
        ),
        (
            "Networks with alignment (RFF) have more PSNR than bilinear upsampling",
            "control of our own",
            _pairs(grid, grid.psnr, ours, BILINEAR),
            "dB",
        ),
        ("Alignment (RFF) raises PSNR on NTIRE 2018", "Table 2 left", _pairs(grid, tracks, ours, plain), "dB"),
        ("Full alignment (RFF) beats linear alignment", "ablation", _pairs(grid, grid.psnr, ours, "linear"), "dB"),
    ]
    return [
        *(_everywhere(*claim) for claim in claims),
        _unstable(grid),
        _spectra(evidence.frequency),
        _diversity(evidence.entropy),
        _clusters(grid, evidence.separation),
        _interaction(evidence.interaction),
    ]


def outcomes(comparisons: Sequence[Comparison]) -> list[Outcome]:
    """The differences first minus second; all of them are one family for Holm's correction."""
    found = [
        statistics.compare(one.first, one.second, groups=one.groups, untrained=one.untrained) for one in comparisons
    ]
    if not found:
        return []
    corrected = statistics.holm([float(one.p[0]) for one in found])
    return [
        Outcome(
            name=comparison.name,
            mean=float(one.mean[0]),
            low=float(one.low[0]),
            high=float(one.high[0]),
            sign=int(statistics.significant_sign(p, one.low[0], one.high[0], ALPHA)),
            possible=not np.isnan(p),  # as it is of one training run
        )
        for comparison, one, p in zip(comparisons, found, corrected, strict=True)
    ]


def _everywhere(claim: str, where: str, comparisons: Sequence[Comparison], unit: str) -> Verdict:
    if not comparisons:
        return Verdict(claim, where, "not testable", "This run has no scores of both sides.")
    found = outcomes(comparisons)
    for_it, against = (sum(one.sign == sign for one in found) for sign in (1, -1))
    small = sum(not one.possible for one in found)
    verdict: Word = "contradicted" if against else "supported" if for_it == len(found) else "undecided"
    mean = np.mean([one.mean for one in found])
    if len(found) == 1:
        sure = "certain" if found[0].sign else "not certain"
        numbers = f"{_ends(found, unit)}: {'one training run cannot tell' if small else sure}."
    else:
        sides = [f"{for_it} certainly speak for it"] if for_it else []
        sides += [f"{against} certainly speak against it"] if against else []
        few = f"; {small} have one training run, which cannot tell" if small else ""
        sure = f"{' and '.join(sides) or 'none is certain'}{few}"
        numbers = f"Of {len(found)} differences, {sure}. Their mean is {mean:+.3f} {unit}, {_ends(found, unit)}."
    return Verdict(claim, where, verdict, numbers)


def _ends(found: Sequence[Outcome], unit: str) -> str:
    least, most = min(found, key=lambda one: one.mean), max(found, key=lambda one: one.mean)
    ends = [
        f"{one.mean:+.3f} {unit} [{one.low:+.3f}, {one.high:+.3f}] ({one.name})"
        for one in dict.fromkeys((least, most))
    ]
    return "from " + " to ".join(ends) if len(ends) == 2 else ends[0]


def _pairs(grid: Grid, known: Mapping[Key, Array], first: str, second: str) -> list[Comparison]:
    """The last columns of two regularizers' scores, on every network and benchmark."""
    found = []
    for backbone in grid.backbones:
        for benchmark in dict.fromkeys(key[0] for key in known):
            other = differences.baseline_row(backbone, second)
            sides = [known.get((benchmark, *row)) for row in ((backbone, first), other)]
            if sides[0] is not None and sides[1] is not None:
                ends = (sides[0][..., -1:], sides[1][..., -1:])
                found.append(Comparison(f"{_name(backbone)}, {benchmark}", *ends, untrained=other.is_control))
    return found


def _other_cases(grid: Grid, method: str) -> list[Comparison]:
    """Gain under each other case against the gain under the hardest one, benchmarks together."""
    if HARDEST not in grid.cases:
        return []
    hardest, found = grid.cases.index(HARDEST), []
    for backbone in grid.backbones:
        names = [n for n in grid.benchmarks if {(n, backbone, method), (n, backbone, BASELINE)} <= set(grid.psnr)]
        if not names:
            continue
        sides = [np.concatenate([grid.psnr[n, backbone, reg] for n in names], axis=1) for reg in (method, BASELINE)]
        sizes = [grid.psnr[n, backbone, method].shape[1] for n in names]
        for number, case in enumerate(grid.cases):
            if number != hardest:
                parts = [side[..., [number]] - side[..., [hardest]] for side in sides]
                found.append(Comparison(f"{_name(backbone)}, {case}", parts[0], parts[1], sizes))
    return found


def _unstable(grid: Grid) -> Verdict:
    """In the paper, brute force falls below the baseline on some benchmarks, and alignment of moments never does."""
    claim, where = "Brute-force alignment falls below the baseline, alignment of moments does not", "ablation"
    pairs = {reg: _pairs(grid, grid.psnr, reg, BASELINE) for reg in ("brute_force", "linear", "rff")}
    for reg, compared in pairs.items():
        if not compared:
            return Verdict(claim, where, "not testable", f"This run has no {reg} beside the baseline.")
    found, said, below = outcomes([one for compared in pairs.values() for one in compared]), [], {}
    for reg, compared in pairs.items():
        own, found = found[: len(compared)], found[len(compared) :]
        below[reg] = sum(one.sign < 0 for one in own)
        name = METHODS[reg].removeprefix("+ ")
        said.append(f"{name} with certainty on {below[reg]} of {len(own)} ({_ends(own, 'dB')})")
    others = below["linear"] or below["rff"]
    verdict: Word = "contradicted" if others else "supported" if below["brute_force"] else "undecided"
    return Verdict(claim, where, verdict, f"Below it: {'; '.join(said)}.")


def _clusters(grid: Grid, separation: pd.DataFrame | None) -> Verdict:
    claim, where = "Features are less clustered by degradation with alignment (RFF)", "Fig. 8"
    sides: list[tuple[str, pd.DataFrame]] = []
    if separation is not None:
        mine = separation[(separation["layer"] == "last") & (separation["label"] == "degradation")]
        sides = [
            (b, mine[(mine["backbone"] == b) & (mine["reg"] == r)]) for b in grid.backbones for r in ("rff", BASELINE)
        ]
    if not sides or any(side.empty for _, side in sides):
        return Verdict(claim, where, "not testable", "This run has no features of both sides.")
    said, less, more = [], 0, 0
    for (backbone, ours), (_, plain) in zip(sides[::2], sides[1::2], strict=True):
        less += bool(ours["high"].max() < plain["low"].min())
        more += bool(ours["low"].min() > plain["high"].max())
        texts = [
            f"{side['chi'].mean():.3g} [{side['low'].min():.3g}, {side['high'].max():.3g}]" for side in (ours, plain)
        ]
        said.append(f"{_name(backbone)} {texts[0]} against {texts[1]}")
    count = len(grid.backbones)
    numbers = f"Calinski-Harabasz index by degradation, with the widest interval of the seeds: {'; '.join(said)}"
    if any(side["seed"].nunique() < 2 for _, side in sides):
        return Verdict(claim, where, "undecided", f"{numbers}{_LONE}")
    verdict: Word = "supported" if less == count else "contradicted" if more else "undecided"
    return Verdict(claim, where, verdict, f"{numbers}.")


def _spectra(frequency: pd.DataFrame | None) -> Verdict:
    """In the upper half of the bands that the baseline does not miss altogether."""
    claim, where = "Dropout loses fine detail: its spectra are further off at high frequencies", "Fig. 2"
    if frequency is None or "image" not in frequency:
        return Verdict(claim, where, "not testable", "This run has no spectra per image.")
    of_baseline = frequency[frequency["reg"] == BASELINE].groupby("band")["mape_percent"].mean()
    seen = of_baseline.index[of_baseline < _SATURATED]
    high = frequency[frequency["band"].isin(seen[len(seen) // 2 :])]
    what = f"Error in the bands {', '.join(map(str, seen[len(seen) // 2 :]))} of {len(of_baseline)}"
    return _of_images(claim, where, high, "mape_percent", what, "percent", more=True)


def _diversity(entropy: pd.DataFrame | None) -> Verdict:
    claim, where = "Dropout leaves channels that are less diverse in frequency", "Fig. 3"
    if entropy is None or "image" not in entropy:
        return Verdict(claim, where, "not testable", "This run has no entropy per image.")
    return _of_images(
        claim, where, entropy, "entropy_nats", "Entropy of the dominant frequencies", "nats", more=False
    )


def _of_images(
    claim: str, where: str, found: pd.DataFrame, column: str, what: str, unit: str, *, more: bool
) -> Verdict:
    """Dropout minus the baseline, per seed and image; `more`: the claim is that Dropout has more."""
    compared = []
    for backbone, mine in found.groupby("backbone", sort=False):
        sides = [_by_image(mine[mine["reg"] == reg], column) for reg in ("dropout", BASELINE)]
        if any(side.empty for side in sides) or not sides[0].columns.equals(sides[1].columns):
            continue
        sizes = list(sides[0].columns.get_level_values("benchmark").value_counts(sort=False))
        first, second = (side.to_numpy()[..., None] for side in sides)
        compared.append(Comparison(_name(str(backbone)), first, second, sizes))
    if not compared:
        return Verdict(claim, where, "not testable", "This run has no Dropout beside the baseline.")
    differing = outcomes(compared)
    signs, wanted = [one.sign for one in differing], 1 if more else -1
    verdict: Word = (
        "supported" if all(sign == wanted for sign in signs) else "contradicted" if -wanted in signs else "undecided"
    )
    said = [f"{one.name} {one.mean:+.3g} {unit} [{one.low:+.3g}, {one.high:+.3g}]" for one in differing]
    end = "." if all(one.possible for one in differing) else _LONE
    return Verdict(claim, where, verdict, f"{what}, with Dropout minus without: {'; '.join(said)}{end}")


def _by_image(found: pd.DataFrame, column: str) -> pd.DataFrame:
    """Means over cases and bands: a row per seed, a column per image; images without a value are left out."""
    wide = found.groupby(["seed", "benchmark", "image"])[column].mean().unstack(["benchmark", "image"])
    return wide.dropna(axis=1).sort_index(axis=1)


def _interaction(strengths: pd.DataFrame | None) -> Verdict:
    """Of networks trained with Dropout and without, for equal energy of what they add."""
    claim, where = "Dropout weakens the interaction of patches", "Sec. 3, Lemma 3.1"
    absent = Verdict(claim, where, "not testable", "This run has no interactions of both sides.")
    if strengths is None:
        return absent
    found = analyses.trained_with(strengths, "dropout", BASELINE).dropna(subset=["share"])
    if found.empty:
        return absent
    highest = found[found["order"] == found.groupby("backbone")["order"].transform("max")]
    said = [f"{_name(one.backbone)} {one.share:.0%} [{one.low:.0%}, {one.high:.0%}]" for one in highest.itertuples()]
    numbers = (
        "Strength of the highest order in networks trained with Dropout, of that without, each divided by the energy "
        f"of what the network adds: {'; '.join(said)}"
    )
    runs = strengths[strengths["reg"].isin(["dropout", BASELINE])].groupby(["backbone", "reg"])["seed"].nunique()
    if (runs < 2).any():
        return Verdict(claim, where, "undecided", f"{numbers}{_LONE}")
    verdict: Word = (
        "supported" if (highest["high"] < 1).all() else "contradicted" if (highest["low"] > 1).any() else "undecided"
    )
    return Verdict(claim, where, verdict, f"{numbers}.")


def _name(backbone: str) -> str:
    return BACKBONES.get(backbone, backbone)
