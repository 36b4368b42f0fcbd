"""What the numbers at hand say of each claim of the paper."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from blindsr.metrics import statistics
from blindsr.metrics.statistics import Array
from blindsr.reporting import analyses
from blindsr.reporting.differences import ALPHA
from blindsr.reporting.paper_tables import BACKBONES, LPIPS_CASE, METHODS, Grid
from blindsr.reporting.tables import BASELINE

Word = Literal["supported", "contradicted", "undecided", "not testable"]
HARDEST = "b+n+j"
RULE = (
    "A claim about every network and benchmark is supported if every difference lies on its side, and with certainty "
    "wherever the images are enough for that; contradicted if any lies on the other side with certainty; and "
    "undecided otherwise. Certainty of a difference is p < 0.05 after Holm's correction over the comparisons of the "
    "claim, and a 95 % interval without 0."
)
"""Of all verdicts."""


class Verdict(NamedTuple):
    """A claim, where the paper makes it, the verdict, and the numbers that it rests on."""

    claim: str
    where: str
    verdict: Word
    numbers: str


class Comparison(NamedTuple):
    """Scores (seeds, images, 1) of two rows of the grid; the claim is that the first are larger."""

    name: str
    first: Array
    second: Array


class Outcome(NamedTuple):
    """A comparison's difference with its interval; `sure` means p < 0.05 after Holm, and 0 outside the interval.

    With too few images (not `possible`) no p-value can be that small.
    """

    name: str
    mean: float
    low: float
    high: float
    sure: bool
    possible: bool


def judge(grid: Grid, separation: pd.DataFrame | None, interaction: pd.DataFrame | None) -> list[Verdict]:
    """A verdict for each claim, by `RULE`.

    Frames as the analyse stage writes them, of all cells; None where there are none.
    """
    ours, plain = "rff", BASELINE
    claims: list[tuple[str, str, list[Comparison], str]] = [
        ("Alignment (RFF) raises PSNR everywhere", "Table 1", _psnr(grid, ours, plain), "dB"),
        (
            "Alignment (RFF) beats Dropout everywhere",
            "supplement",
            _psnr(grid, ours, "dropout"),
            "dB",
        ),
        ("The gain of alignment is smallest under b+n+j", "Sec. 5", _other_cases(grid, ours), "dB"),
        ("Dropout raises LPIPS (looks worse)", "Table 2, right", _lpips(grid, "dropout", plain), "LPIPS"),
        ("Alignment (RFF) lowers LPIPS (looks better)", "Table 2, right", _lpips(grid, plain, ours), "LPIPS"),
        ("Alignment (RFF) raises PSNR on NTIRE 2018", "Table 2, left", _real(grid, ours, plain), "dB"),
        ("Full alignment (RFF) beats linear alignment", "ablation", _psnr(grid, ours, "linear"), "dB"),
    ]
    return [
        *(_everywhere(*claim) for claim in claims),
        _unstable(grid),
        _clusters(grid, separation),
        _interaction(interaction),
    ]  # fmt: skip


def outcomes(comparisons: Sequence[Comparison]) -> list[Outcome]:
    """The differences first minus second; all of them are one family for Holm's correction."""
    found = [statistics.compare(one.first, one.second) for one in comparisons]
    if not found:
        return []
    corrected = statistics.holm([float(one.p[0]) for one in found])
    needed = statistics.images_needed(len(found), ALPHA)
    return [
        Outcome(
            name=comparison.name,
            mean=float(one.mean[0]),
            low=float(one.low[0]),
            high=float(one.high[0]),
            sure=bool(p < ALPHA and not one.low[0] <= 0 <= one.high[0]),
            possible=comparison.first.shape[1] >= needed,
        )
        for comparison, one, p in zip(comparisons, found, corrected, strict=True)
    ]


def _everywhere(claim: str, where: str, comparisons: Sequence[Comparison], unit: str) -> Verdict:
    if not comparisons:
        return Verdict(claim, where, "not testable", "This run has no scores of both sides.")
    found = outcomes(comparisons)
    for_it = sum(one.sure and one.mean > 0 for one in found)
    against = sum(one.sure and one.mean < 0 for one in found)
    small = sum(not one.possible for one in found)
    well = small < len(found) and all(one.mean > 0 and (one.sure or not one.possible) for one in found)
    verdict: Word = "contradicted" if against else "supported" if well else "undecided"
    few = f", {small} with too few images to tell" if small else ""
    numbers = (
        f"Of {len(found)} differences {for_it} speak for it and {against} against it with certainty{few}; their mean "
        f"is {np.mean([one.mean for one in found]):+.3f} {unit}, {_ends(found, unit)}."
    )
    return Verdict(claim, where, verdict, numbers)


def _ends(found: Sequence[Outcome], unit: str) -> str:
    least, most = min(found, key=lambda one: one.mean), max(found, key=lambda one: one.mean)
    ends = [
        f"{one.mean:+.3f} {unit} [{one.low:+.3f}, {one.high:+.3f}] ({one.name})"
        for one in dict.fromkeys((least, most))
    ]
    return "from " + " to ".join(ends) if len(ends) == 2 else ends[0]


def _pairs(
    grid: Grid, benchmarks: Sequence[str], first: str, second: str, take: Callable[[str, str, str], Array | None]
) -> list[Comparison]:
    found = []
    for backbone in grid.backbones:
        for benchmark in benchmarks:
            sides = [take(benchmark, backbone, reg) for reg in (first, second)]
            if sides[0] is not None and sides[1] is not None:
                found.append(Comparison(f"{_name(backbone)}, {benchmark}", sides[0], sides[1]))
    return found


def _psnr(grid: Grid, first: str, second: str) -> list[Comparison]:
    """Means over the cases."""

    def take(*key: str) -> Array | None:
        known = grid.psnr.get((key[0], key[1], key[2]))
        return None if known is None else known[..., -1:]

    return _pairs(grid, grid.benchmarks, first, second, take)


def _lpips(grid: Grid, first: str, second: str) -> list[Comparison]:
    column = grid.cases.index(LPIPS_CASE) if LPIPS_CASE in grid.cases else -1

    def take(*key: str) -> Array | None:
        known = grid.lpips.get((key[0], key[1], key[2]))
        return None if known is None else known[..., [column]]

    return _pairs(grid, grid.benchmarks, first, second, take)


def _real(grid: Grid, first: str, second: str) -> list[Comparison]:
    tracks = list(dict.fromkeys(benchmark for benchmark, _, _ in grid.real))
    return _pairs(grid, tracks, first, second, lambda *key: grid.real.get((key[0], key[1], key[2])))


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
        for number, case in enumerate(grid.cases):
            if number != hardest:
                parts = [side[..., [number]] - side[..., [hardest]] for side in sides]
                found.append(Comparison(f"{_name(backbone)}, {case}", parts[0], parts[1]))
    return found


def _unstable(grid: Grid) -> Verdict:
    """In the paper, brute force falls below the baseline on some benchmarks, and alignment of moments never does."""
    claim, where = "Brute-force alignment falls below the baseline, alignment of moments does not", "ablation"
    counts = {}
    for reg in ("brute_force", "linear", "rff"):
        found = outcomes(_psnr(grid, reg, BASELINE))
        if not found:
            return Verdict(claim, where, "not testable", f"This run has no {reg} beside the baseline.")
        counts[reg] = (sum(one.sure and one.mean < 0 for one in found), found)
    numbers = "; ".join(
        f"{METHODS[reg].removeprefix('+ ')} with certainty on {count} of {len(found)} ({_ends(found, 'dB')})"
        for reg, (count, found) in counts.items()
    )
    others = counts["linear"][0] + counts["rff"][0]
    brute = counts["brute_force"][0]
    verdict: Word = "supported" if brute and not others else "contradicted" if others and not brute else "undecided"
    return Verdict(claim, where, verdict, f"Below it: {numbers}.")


def _clusters(grid: Grid, separation: pd.DataFrame | None) -> Verdict:
    claim, where = "Features are less clustered by degradation with alignment (RFF)", "Fig. 8"
    sides: list[tuple[str, pd.DataFrame]] = []
    if separation is not None:
        mine = separation[(separation["space"] == "features") & (separation["label"] == "degradation")]
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
    verdict: Word = "supported" if less == count else "contradicted" if more else "undecided"
    numbers = f"Calinski-Harabasz index by degradation, with the widest interval of the seeds: {'; '.join(said)}."
    return Verdict(claim, where, verdict, numbers)


def _interaction(interaction: pd.DataFrame | None) -> Verdict:
    claim, where = "Dropout weakens the interaction of patches", "Sec. 3, Lemma 3.1"
    left = pd.DataFrame()
    if interaction is not None:
        strengths = analyses.interaction_strengths(interaction[interaction["reg"] == BASELINE])
        left = strengths[strengths["rate"] > 0].dropna(subset=["share"])
    if left.empty:
        return Verdict(claim, where, "not testable", "This run has no interactions of the baseline.")
    verdict: Word = (
        "supported" if (left["high"] < 1).all() else "contradicted" if (left["low"] > 1).any() else "undecided"
    )
    said = [
        f"{_name(one.backbone)}, rate {one.rate:g}: {one.share:.0%} [{one.low:.0%}, {one.high:.0%}]"
        for one in left.itertuples()
    ]
    return Verdict(claim, where, verdict, f"Strength of the highest order that is left: {'; '.join(said)}.")


def _name(backbone: str) -> str:
    return BACKBONES.get(backbone, backbone)
