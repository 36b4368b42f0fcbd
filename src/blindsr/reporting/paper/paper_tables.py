"""The tables of the paper, its values beside ours: which lines and columns each has, in the paper's order."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from blindsr.config.run import CONTROLS
from blindsr.reporting import differences, statistics
from blindsr.reporting.paper import published
from blindsr.reporting.paper.comparison import Line, PaperTable, TableCell
from blindsr.reporting.rescaled import RESCALED
from blindsr.reporting.scores import BASELINE
from blindsr.reporting.statistics import Array
from blindsr.reporting.tables import MEAN

BACKBONES = {"srresnet": "SRResNet", "rrdb": "RRDB", "msrn": "MSRN", "swinir": "SwinIR"}
"""Names in the paper."""
METHODS = {
    "none": "baseline",
    RESCALED: "baseline, rescaled",
    "dropout": "+ Dropout",
    "brute_force": "+ brute-force",
    "linear": "+ linear",
    "rff": "+ ours",
    "rff_released": "+ released code",
    "two_views": "two views only",
}
PARTS = {"table1_small": ["Set5", "Set14", "BSD100"], "table1_large": ["Test2k", "Urban100", "Manga109"]}
TRACKS = {"mild": "NTIRE2018_mild", "difficult": "NTIRE2018_difficult", "wild": "NTIRE2018_wild"}
CASES = ["clean", "blur", "noise", "jpeg", "b+n", "b+j", "n+j", "b+n+j"]
REAL = "real"
LPIPS_CASE = "clean"
"""The paper does not say under which cases its LPIPS were taken; their level fits this one alone."""

Key = tuple[str, str, str]
Printed = tuple[float, bool]
"""A value of the paper (NaN for none), and whether it looks like a misprint."""
_NOTHING = (np.nan, False)
_PRINTED = ("none", "dropout", "brute_force", "linear", "rff")


class Grid(NamedTuple):
    """What was measured: rows as they are named in the settings, and scores (seeds, images, columns) of each."""

    backbones: list[str]
    regularizers: list[str]
    benchmarks: list[str]
    cases: list[str]
    psnr: Mapping[Key, Array]
    """(benchmark, backbone, regularizer) -> PSNR in dB of the cases, the last column the mean of the paper's."""
    lpips: Mapping[Key, Array]
    """LPIPS under `LPIPS_CASE`, one column; empty without trunk weights."""
    real: Mapping[Key, Array]
    """Plain PSNR in dB on the tracks of real LR images, one column."""
    cosine: Mapping[Key, Array]
    """Mean cosine of the added detail over the cases, one column; empty where it was not scored."""


def measure(
    scores: pd.DataFrame, backbones: list[str], regularizers: list[str], benchmarks: list[str], cases: list[str]
) -> Grid:
    """The grid of per-image scores as from `scores.read`; `benchmarks` are those of the test cases."""
    suite = scores[scores["benchmark"].isin(benchmarks)]
    shared = [number for number, case in enumerate(cases) if case in CASES] or list(range(len(cases)))
    psnr = {
        key: np.concatenate([array, array[..., shared].mean(2, keepdims=True)], axis=2)
        for key, array in differences.arrays(suite, cases, "psnr_db").items()
    }
    perceived = suite[(suite["case"] == LPIPS_CASE) & (suite["reg"] != RESCALED)]  # of which no image is made
    lpips: Mapping[Key, Array] = {}
    if "lpips" in suite:
        known = perceived.groupby("benchmark")["lpips"].transform(lambda column: column.notna().all()).astype(bool)
        lpips = differences.arrays(perceived[known], [LPIPS_CASE], "lpips")
    photos = scores[scores["case"] == REAL]
    compared = photos.groupby("benchmark")["psnr_db"].transform("count") > 0  # of the others there is no HR image
    real = differences.arrays(photos[compared], [REAL], "psnr_db")
    cosine: Mapping[Key, Array] = {}
    if "detail_cosine" in suite:
        trained = suite[suite["backbone"].isin(backbones)].fillna({"detail_cosine": 0.0})  # of nothing that is added
        found = differences.arrays(trained, cases, "detail_cosine")
        cosine = {key: array[..., shared].mean(2, keepdims=True) for key, array in found.items()}
    return Grid(backbones, regularizers, benchmarks, cases, psnr, lpips, real, cosine)


class _Paper:
    """The printed values, by the names of this project."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str, str, str], Printed] = {}
        for row in published.load().itertuples():
            key = (row.table, row.backbone.lower(), row.regularizer, row.dataset, row.degradation)
            self._values[key] = (row.value, row.suspect)

    def get(self, table: str, backbone: str, reg: str, dataset: str, case: str) -> Printed:
        """Value and whether it looks like a misprint; NaN where the paper has none."""
        return self._values.get((table, backbone, reg, dataset, case), _NOTHING)

    def line(self, backbone: str, reg: str, dataset: str, cases: Sequence[str]) -> list[Printed]:
        """Of the main table: a value per case, then the mean of those that are the paper's."""
        values = [self.get("psnr_main", backbone, reg, dataset, case) for case in cases]
        shared = [value for (value, _), case in zip(values, cases, strict=True) if case in CASES]
        return [*values, (float(np.mean(shared)) if shared else np.nan, False)]


def main_table(grid: Grid, key: str, benchmarks: Sequence[str], title: str) -> PaperTable:
    """A part of Table 1: per benchmark and backbone the baseline, ours and the improvement, controls first."""
    paper, lines = _Paper(), []
    for benchmark in benchmarks:
        for name in CONTROLS:
            of_control = grid.psnr.get((benchmark, name, name))
            lines.append(_values(benchmark, name, "", of_control, [_NOTHING] * (len(grid.cases) + 1)))
        for backbone in grid.backbones:
            own = [grid.psnr.get((benchmark, backbone, reg)) for reg in (BASELINE, "rff")]
            printed = [paper.line(backbone, reg, benchmark, grid.cases) for reg in (BASELINE, "rff")]
            name = _name(backbone)
            for label, mine, theirs in zip(("baseline", "+ ours"), own, printed, strict=True):
                lines.append(_values(benchmark, name, label, mine, theirs))
            lines.append(_gain(benchmark, name, "improvement", own[1], own[0], _minus(printed[1], printed[0])))
    return PaperTable(key, title, ["benchmark", "network", ""], [*grid.cases, MEAN], lines, 2)


def dropout_table(grid: Grid, benchmarks: Sequence[str], title: str) -> PaperTable:
    """The supplement's comparison: baseline, Dropout and ours, and what else was trained beside the ablation's."""
    paper, lines = _Paper(), []
    for benchmark in benchmarks:
        for name in CONTROLS:
            of_control = grid.psnr.get((benchmark, name, name))
            lines.append(_values(benchmark, name, "", of_control, [_NOTHING] * (len(grid.cases) + 1)))
        for backbone in grid.backbones:
            baseline = grid.psnr.get((benchmark, backbone, BASELINE))
            for reg in [BASELINE, "dropout", "rff", *_extra(grid)]:
                own = grid.psnr.get((benchmark, backbone, reg))
                printed = paper.line(backbone, reg, benchmark, grid.cases)
                against = None if reg == BASELINE else baseline
                lines.append(_values(benchmark, _name(backbone), _label(reg), own, printed, against))
    return PaperTable("dropout", title, ["benchmark", "network", ""], [*grid.cases, MEAN], lines, 2)


def ablation_table(grid: Grid, benchmarks: Sequence[str], title: str) -> PaperTable:
    """The supplement's ablation: PSNR averaged over the cases, one column per benchmark."""
    paper = _Paper()
    methods = [BASELINE, "brute_force", "linear", "rff", *_extra(grid)]

    def printed(backbone: str, reg: str, name: str) -> Printed:
        return paper.get("ablation", backbone, reg, name, MEAN) if set(CASES) <= set(grid.cases) else _NOTHING

    lines = _by_benchmark(grid, grid.psnr, methods, benchmarks, printed)
    return PaperTable("ablation", title, ["network", ""], list(benchmarks), lines, 2)


def lpips_table(grid: Grid, benchmarks: Sequence[str], title: str) -> PaperTable:
    """Table 2, right: LPIPS (lower is better), one column per benchmark."""
    paper = _Paper()

    def printed(backbone: str, reg: str, name: str) -> Printed:
        return paper.get("lpips", backbone, reg, name, "")

    lines = _by_benchmark(grid, grid.lpips, [BASELINE, "dropout", "rff", *_extra(grid)], benchmarks, printed)
    return PaperTable("table2_lpips", title, ["network", ""], list(benchmarks), lines, 3, lower_is_better=True)


def ntire_table(grid: Grid, title: str) -> PaperTable:
    """Table 2, left: plain PSNR on the tracks of NTIRE 2018."""
    paper, tracks = _Paper(), {name: track for track, name in TRACKS.items()}

    def printed(backbone: str, reg: str, name: str) -> Printed:
        return paper.get("ntire2018", backbone, reg, "NTIRE2018", tracks[name])

    lines = _by_benchmark(grid, grid.real, [BASELINE, "dropout", "rff", *_extra(grid)], list(tracks), printed)
    return PaperTable("table2_ntire", title, ["network", ""], list(tracks), lines, 2)


def average_table(grid: Grid, benchmarks: Sequence[str], title: str) -> PaperTable:
    """Fig. 6: mean improvement over the baseline, over all cases and over the benchmarks at hand; one row a network.

    The columns of the controls are their own differences to the baseline.
    """
    paper, lines = _Paper(), []
    methods = [reg for reg in grid.regularizers if reg != BASELINE]
    for backbone in grid.backbones:
        cells = []
        for owner, reg in [*zip(CONTROLS, CONTROLS, strict=True), *((backbone, reg) for reg in methods)]:
            pairs = [
                (grid.psnr[name, owner, reg][..., -1:], grid.psnr[name, backbone, BASELINE][..., -1:])
                for name in benchmarks
                if (name, owner, reg) in grid.psnr and (name, backbone, BASELINE) in grid.psnr
            ]
            gains = []
            for names in PARTS.values():
                for name in names:
                    theirs = [paper.line(backbone, r, name, grid.cases)[-1][0] for r in (reg, BASELINE)]
                    gains.append(theirs[0] - theirs[1])
            cells.append(_pooled(pairs, float(np.mean(gains)), untrained=owner in CONTROLS))
        lines.append(Line("", _name(backbone), "", cells, signed=True))
    columns = [*CONTROLS, *(_label(reg) for reg in methods)]
    return PaperTable("figure6_average", title, ["network"], columns, lines, 2)


def _pooled(pairs: list[tuple[Array, Array]], printed: float, *, untrained: bool) -> TableCell:
    if not pairs:
        return TableCell(paper=printed)
    sizes = [method.shape[1] for method, _ in pairs]
    method, baseline = (np.concatenate([pair[side] for pair in pairs], axis=1) for side in (0, 1))
    return _cells(method, baseline, [(printed, False)], groups=sizes, untrained=untrained)[0]


def _values(
    benchmark: str,
    network: str,
    label: str,
    own: Array | None,
    printed: Sequence[Printed],
    against: Array | None = None,
) -> Line:
    """Means with intervals, and the p-values of the difference to `against`."""
    if own is None:
        cells = [TableCell(paper=value, suspect=suspect) for value, suspect in printed]
        return Line(benchmark, network, label, cells)
    low, high = statistics.bootstrap_interval(own, np.zeros((1, *own.shape[1:])))
    cells = [
        TableCell(float(mean), float(ends[0]), float(ends[1]), *theirs)
        for mean, ends, theirs in zip(own.mean((0, 1)), zip(low, high, strict=True), printed, strict=True)
    ]
    if against is not None:
        gains = _cells(own, against, printed)
        cells = [c._replace(p=g.p, gain=g.gain) for c, g in zip(cells, gains, strict=True)]
    return Line(benchmark, network, label, cells)


def _gain(
    benchmark: str,
    network: str,
    label: str,
    method: Array | None,
    baseline: Array | None,
    printed: Sequence[Printed],
) -> Line:
    if method is None or baseline is None:
        cells = [TableCell(paper=value, suspect=suspect) for value, suspect in printed]
    else:
        cells = _cells(method, baseline, printed)
    return Line(benchmark, network, label, cells, signed=True)


def _by_benchmark(
    grid: Grid,
    known: Mapping[Key, Array],
    regularizers: Sequence[str],
    benchmarks: Sequence[str],
    printed: Callable[[str, str, str], Printed],
) -> list[Line]:
    """Bicubic, then every backbone with every regularizer: a column per benchmark, of the last column of each."""
    lines = []
    rows = [(backbone, reg) for backbone in grid.backbones for reg in regularizers]
    for backbone, reg in [*zip(CONTROLS, CONTROLS, strict=True), *rows]:
        cells: list[TableCell] = []
        for name in benchmarks:
            own, baseline = known.get((name, backbone, reg)), known.get((name, backbone, BASELINE))
            take = None if own is None else own[..., -1:]
            against = baseline[..., -1:] if baseline is not None and reg != BASELINE else None
            cells += _values("", "", "", take, [printed(backbone, reg, name)], against).cells
        lines.append(Line("", _name(backbone), "" if backbone in CONTROLS else _label(reg), cells))
    return lines


def _cells(
    method: Array,
    baseline: Array,
    printed: Sequence[Printed],
    groups: list[int] | None = None,
    *,
    untrained: bool = False,
) -> list[TableCell]:
    found = statistics.compare(method, baseline, groups=groups, untrained=untrained)
    return [
        TableCell(float(mean), float(low), float(high), paper, suspect, float(p), (float(low), float(high)))
        for mean, low, high, p, (paper, suspect) in zip(
            found.mean, found.low, found.high, found.p, printed, strict=True
        )
    ]


def _minus(a: Sequence[Printed], b: Sequence[Printed]) -> list[Printed]:
    return [(x[0] - y[0], x[1] or y[1]) for x, y in zip(a, b, strict=True)]


def _extra(grid: Grid) -> list[str]:
    """Regularizers that the paper has no row of."""
    return [reg for reg in grid.regularizers if reg not in _PRINTED]


def _label(reg: str) -> str:
    return METHODS.get(reg, f"+ {reg}")


def _name(backbone: str) -> str:
    return BACKBONES.get(backbone, backbone)
