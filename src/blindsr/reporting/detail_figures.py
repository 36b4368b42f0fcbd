"""Figures of the detail that networks add: how right and how much, at the end and while training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blindsr.config.schema import TRAINED
from blindsr.reporting.gain_split import gain_db
from blindsr.reporting.style import STYLE, colour, curve, headline, legend_below, marker, save

_MEASURES = {"psnr_db": "PSNR (dB)", "detail_cosine": "detail cosine", "detail_amplitude": "detail amplitude"}
_LEVELS = np.array([-4, -3, -2, -1.5, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6])


def cosine_and_amplitude(scores: pd.DataFrame, cases: Sequence[str], stem: Path, *, title: str) -> None:
    """Every row as a point, with contours of the PSNR over bicubic upsampling; a row of panels per backbone.

    Args:
        scores: Per image, with the columns benchmark, backbone, reg, seed, case, detail_cosine, detail_amplitude.
        cases: A panel for each.
        stem: Of <stem>.svg and <stem>.png.
        title: Of the figure.
    """
    keys = ["backbone", "reg", "case", "seed"]
    known = scores[scores["case"].isin(cases)].dropna(subset=["detail_cosine"])
    measures = ["detail_amplitude", "detail_cosine"]
    runs = known.groupby([*keys, "benchmark"], sort=False)[measures].mean().groupby(level=keys, sort=False).mean()
    backbones = list(dict.fromkeys(runs.index.get_level_values("backbone")))
    regs = {name: number for number, name in enumerate(dict.fromkeys(runs.index.get_level_values("reg")))}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4 * len(cases), 3.4 * len(backbones) + 0.7), layout="constrained")
        axes = figure.subplots(len(backbones), len(cases), squeeze=False)
        for line, backbone in zip(axes, backbones, strict=True):
            for axis, case in zip(line, cases, strict=True):
                own = runs.xs((backbone, case), level=("backbone", "case"))
                for reg, points in own.groupby(level="reg", sort=False):
                    number = regs[str(reg)]
                    look: Any = {"linestyle": "", "color": colour(number), "marker": marker(number)}
                    x, y = points["detail_amplitude"], points["detail_cosine"]
                    axis.plot(x, y, markersize=5, alpha=0.45, **look)
                    axis.plot(x.mean(), y.mean(), markersize=9, label=reg, **look)
                _contours(axis, own["detail_amplitude"].to_numpy(), own["detail_cosine"].to_numpy())
                axis.set(title=case, xlabel="detail amplitude")
                axis.set_ylabel(f"detail cosine\n{backbone}" if axis is line[0] else "detail cosine")
        legend_below(figure)
        headline(figure, title)
        save(figure, stem)


def _contours(axis: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Lines of equal PSNR over bicubic upsampling, around the points."""
    room = [max(0.3 * (values.max() - values.min()), 0.02) for values in (x, y)]
    left, right = max(0.0, x.min() - room[0]), x.max() + room[0]
    bottom, top = y.min() - room[1], y.max() + room[1]
    grid = np.meshgrid(np.linspace(left, right, 100), np.linspace(bottom, top, 100))
    gains = gain_db(grid[1], grid[0])
    fine = np.round(np.linspace(gains.min(), gains.max(), 9), 2)
    inside = _LEVELS[(gains.min() < _LEVELS) & (gains.max() > _LEVELS)]
    lines = axis.contour(*grid, gains, levels=inside if len(inside) > 3 else np.unique(fine), colors="#999999",
                         linewidths=0.7, zorder=0)  # fmt: skip
    axis.clabel(lines, fontsize=6, fmt="%+.2f dB")
    axis.set(xlim=(left, right), ylim=(bottom, top))


def curves_of_detail(curves: pd.DataFrame, stem: Path, *, title: str) -> None:
    """PSNR, cosine and amplitude while training, a column per case of the validation; nothing without them.

    Args:
        curves: Learning curves of all runs, as from `analyses.read`, with columns MEASURE_CASE.
        stem: Of <stem>.svg and <stem>.png.
        title: Of the figure.
    """
    cases = [name.removeprefix("detail_cosine_") for name in curves if name.startswith("detail_cosine_")]
    backbones = list(dict.fromkeys(curves["backbone"]))
    regs = {name: number for number, name in enumerate(dict.fromkeys(curves["reg"]))}
    if not cases:
        return
    with mpl.rc_context(STYLE):
        height = len(_MEASURES) * len(backbones)
        figure = Figure(figsize=(2.9 * len(cases) + 0.6, 2.1 * height + 0.8), layout="constrained")
        axes = figure.subplots(height, len(cases), squeeze=False, sharex=True)
        lines = [(backbone, measure) for backbone in backbones for measure in _MEASURES]
        for row, (backbone, measure) in zip(axes, lines, strict=True):
            mine = curves[curves["backbone"] == backbone]
            for axis, case in zip(row, cases, strict=True):
                for reg, own in mine.groupby("reg", sort=False):
                    known = own[["iteration", f"{measure}_{case}"]].replace(np.inf, np.nan).dropna()
                    curve(axis, known.groupby("iteration")[f"{measure}_{case}"], regs[str(reg)], str(reg))
                if measure == "psnr_db":
                    axis.set_title(case.replace("-", "+") if case != TRAINED else "as in training", fontsize=9)
            row[0].set_ylabel(f"{_MEASURES[measure]}\n{backbone}")
        for axis in axes[-1]:
            axis.set_xlabel("iteration")
        legend_below(figure)
        headline(figure, title)
        save(figure, stem)
