"""Figures of the analyses: one row of panels per backbone, one colour and marker per regularizer."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blindsr.reporting.style import MARKERS, STYLE, colour, headline, legend_below, marker, save


def regularizers_at_work(curves: pd.DataFrame, stem: Path, *, title: str) -> None:
    """Penalty, its share of the gradient and the distance of the views over training, means over seeds."""
    panels = {"penalty": "penalty", "penalty_gradient_share": "penalty's share\nof gradient"}
    panels |= {name: name.replace("_", " ") for name in curves if name.endswith("_distance")}
    panels = {name: label for name, label in panels.items() if name in curves and (curves[name] > 0).any()}
    if not panels:
        return
    with mpl.rc_context(STYLE):
        figure, axes = _panels(curves, len(panels), width=3.6, height=2.9)
        for row, (backbone, mine) in zip(axes, curves.groupby("backbone", sort=False), strict=True):
            for axis, (column, label) in zip(row, panels.items(), strict=True):
                for number, name, curve in _series(curves, mine):
                    means = curve.groupby("iteration")[column].mean().dropna()  # validation is not in every row
                    if (means > 0).any():
                        look: Any = {
                            "color": colour(number),
                            "marker": marker(number),
                            "markersize": 4,
                            "linewidth": 1.3,
                        }
                        every = max(1, len(means) // 6)
                        axis.plot(means.index, means.where(means > 0), markevery=every, label=name, **look)
                if column != "penalty_gradient_share":
                    axis.set_yscale("log")
                axis.set(xlabel="iteration", ylabel=f"{label}\n({backbone})" if axis is row[0] else label)
        legend_below(figure)
        headline(figure, title)
        save(figure, stem)


def channel_entropy(entropy: pd.DataFrame, stem: Path, *, title: str) -> None:
    """Entropy of the channels' dominant bands per case, means over benchmarks and seeds (Fig. 3 of the paper)."""
    cases = list(dict.fromkeys(entropy["case"]))
    with mpl.rc_context(STYLE):
        figure, axes = _panels(entropy, 1, width=8, height=2.8)
        for (axis,), (backbone, mine) in zip(axes, entropy.groupby("backbone", sort=False), strict=True):
            series = list(_series(entropy, mine))
            for place, (number, name, own) in enumerate(series):
                means = own.groupby("case")["entropy_nats"].mean().reindex(cases)
                shift = (place - (len(series) - 1) / 2) * 0.8 / len(series)
                axis.plot(np.arange(len(cases)) + shift, means, color=colour(number), marker=marker(number),
                          linestyle="none", markersize=6, label=name)  # fmt: skip
            for border in np.arange(len(cases) - 1) + 0.5:
                axis.axvline(border, color="#cccccc", linewidth=0.8)
            axis.set_xticks(range(len(cases)), cases)
            axis.grid(axis="x", visible=False)
            axis.set(ylabel=f"channel entropy (nats)\n{backbone}", xlim=(-0.5, len(cases) - 0.5))
            axis.set_ylim(bottom=-0.06 * max(mine["entropy_nats"].max(), 0.1))  # markers at 0 are seen whole
        legend_below(figure)
        headline(figure, title)
        save(figure, stem)


def separation(found: pd.DataFrame, stem: Path, *, title: str) -> None:
    """Calinski-Harabasz index by degradation and by content in feature space, with intervals (Fig. 8)."""
    of_features = found[found["layer"] == "last"]
    regs = list(dict.fromkeys(found["reg"]))
    with mpl.rc_context(STYLE):
        figure, axes = _panels(found, 2, width=4.2, height=0.9 + 0.33 * len(regs))
        for row, (backbone, mine) in zip(axes, of_features.groupby("backbone", sort=False), strict=True):
            for axis, label in zip(row, ("degradation", "content"), strict=True):
                for number, _, own in _series(found, mine[mine["label"] == label]):
                    for seed, one in enumerate(own.itertuples()):
                        height = number + 0.15 * (seed - (len(own) - 1) / 2)
                        axis.plot([one.low, one.high], [height, height], color=colour(number), linewidth=1.6)
                        axis.plot(one.chi, height, color=colour(number), marker=marker(number), markersize=6)
                axis.set_xscale("log")
                axis.set_yticks(range(len(regs)), regs if axis is row[0] else [""] * len(regs))
                axis.set_ylim(len(regs) - 0.5, -0.5)
                axis.set_xlabel(f"Calinski-Harabasz index by {label}")
                axis.set_title(backbone, fontsize=9)
        headline(figure, title)
        save(figure, stem)


def planes(points: pd.DataFrame, stem: Path, *, title: str) -> None:
    """t-SNE planes of the deep features, a colour and marker per test case, first seed of each row (Fig. 8)."""
    cases = list(dict.fromkeys(points["case"]))
    rows = list(dict.fromkeys(zip(points["backbone"], points["reg"], strict=True)))
    across = min(3, len(rows)) if points["backbone"].nunique() == 1 else points["reg"].nunique()
    down = -(-len(rows) // across)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.3 * across, 3.1 * down + 0.7), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis in axes[len(rows) :]:
            axis.set_visible(False)
        for axis, (backbone, reg) in zip(axes, rows, strict=False):
            own = points[(points["backbone"] == backbone) & (points["reg"] == reg)]
            own = own[own["seed"] == own["seed"].min()]
            for number, case in enumerate(cases):
                here = own[own["case"] == case]
                look: Any = {
                    "marker": MARKERS[number % len(MARKERS)],
                    "facecolors": "none",
                    "edgecolors": colour(number),
                }
                axis.scatter(here["x"], here["y"], s=26, linewidths=1, label=case, **look)
            axis.set(xticks=[], yticks=[])
            axis.set_title(f"{backbone}, {reg}", fontsize=9)
            axis.grid(visible=False)
            for side in ("top", "right"):
                axis.spines[side].set_visible(True)
        legend_below(figure, columns=8)
        headline(figure, title)
        save(figure, stem)


def interaction(strengths: pd.DataFrame, stem: Path, *, title: str) -> None:
    """Strength of interaction by order without Dropout, and what is left of the highest order with it (Sec. 3).

    `strengths` as from `analyses.interaction_strengths`.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _panels(strengths, 2, width=4.4, height=3.2)
        for row, (backbone, mine) in zip(axes, strengths.groupby("backbone", sort=False), strict=True):
            for number, name, own in _series(strengths, mine):
                look: Any = {"color": colour(number), "marker": marker(number), "markersize": 5, "linewidth": 1.3}
                plain = own[own["rate"] == 0]
                row[0].plot(plain["order"], plain["strength"], label=name, **look)
                left = own[own["order"] == own["order"].max()].sort_values("rate")
                errors = [left["share"] - left["low"], left["high"] - left["share"]]
                shifted = left["rate"] + 0.012 * (number - (strengths["reg"].nunique() - 1) / 2) * (left["rate"] > 0)
                row[1].errorbar(shifted, left["share"], np.clip(errors, 0, None), label=name, capsize=2, **look)
            row[0].set(xlabel="order: other patches present", ylabel=f"strength (levels)\n{backbone}", yscale="log")
            row[1].axhline(1, color="#777777", linestyle="dashed", linewidth=1)
            row[1].set(
                xlabel="Dropout rate of the other patches", ylabel="highest order: strength\n/ without Dropout"
            )
            row[1].set_ylim(bottom=0)
        legend_below(figure)
        headline(figure, title)
        save(figure, stem)


def _panels(frame: pd.DataFrame, columns: int, *, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a row of panels for each backbone, each of that size in inches."""
    rows = frame["backbone"].nunique()
    figure = Figure(figsize=(width * columns, height * rows + 0.7), layout="constrained")
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False)]


def _series(frame: pd.DataFrame, mine: pd.DataFrame) -> list[tuple[int, str, pd.DataFrame]]:
    """(number, name, rows) of every regularizer in `mine`, numbered by all of the frame: one look in every panel."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(frame["reg"]))}
    return [(numbers[name], name, own) for name, own in mine.groupby("reg", sort=False)]
