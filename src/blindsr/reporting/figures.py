"""Figures as SVG and PNG: readable in print, safe for colour-blind readers, the same bytes every time."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blindsr.reporting.style import STYLE, colour, save
from blindsr.reporting.tables import MEAN


def improvement_bars(differences: pd.DataFrame, reference: pd.DataFrame, stem: Path, *, title: str) -> None:
    """PSNR improvement over the baseline per case and regularizer, one panel per backbone (Fig. 6 of the paper).

    `reference` holds the same cases of bicubic minus the baseline, drawn as a line.
    """
    backbones = list(dict.fromkeys(differences.index.get_level_values("backbone")))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.2 * len(backbones)), layout="constrained")
        axes = figure.subplots(len(backbones), 1, squeeze=False)[:, 0]
        for axis, backbone in zip(axes, backbones, strict=True):
            mine = differences.xs(backbone, level="backbone").groupby(level="reg", sort=False).mean()
            _grouped_bars(axis, mine)
            level = reference.xs(backbone, level="backbone").mean()
            for position, value in enumerate(level):
                axis.hlines(
                    value,
                    position - 0.45,
                    position + 0.45,
                    colors="#777777",
                    linestyles="dashed",
                    linewidth=1,
                    label="bicubic" if position == 0 else None,
                )
            axis.set(ylabel=f"PSNR − {backbone} without\nregularizer (dB)")
            axis.legend(ncols=4, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.1))
        figure.suptitle(title)
        save(figure, stem)


def learning_curves(curves: Mapping[str, pd.DataFrame], stem: Path, *, title: str) -> None:
    """L1, the distance of the two views and the penalty's share of the gradient over the iterations, per cell."""
    panels = {
        "l1": "L1 to HR",
        "view_distance": "distance of views / variance",
        "penalty_gradient_share": "penalty's share of gradient",
    }
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.4), layout="constrained")
        for axis, (column, label) in zip(figure.subplots(1, 3), panels.items(), strict=True):
            for number, (cell, curve) in enumerate(curves.items()):
                if column == "l1" or (curve[column] > 0).any():
                    axis.plot(curve["iteration"], curve[column], color=colour(number), linewidth=1.3, label=cell)
            axis.set(xlabel="iteration", ylabel=label)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, ncols=min(len(labels), 6), loc="outside lower center", fontsize=8, frameon=False
        )
        figure.suptitle(title)
        save(figure, stem)


def frequency_curves(errors: pd.DataFrame, stem: Path, *, title: str) -> None:
    """Spectrum error per radial band, one line per cell, one panel per case (Fig. 2 of the paper).

    `errors` has the columns cell, case, band and mape_percent, means over benchmarks and images.
    """
    cases = list(dict.fromkeys(errors["case"]))
    columns = min(4, len(cases))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 2.6 * -(-len(cases) // columns)), layout="constrained")
        axes = figure.subplots(-(-len(cases) // columns), columns, squeeze=False, sharex=True, sharey=True)
        for axis in axes.flat[len(cases) :]:
            axis.set_visible(False)
        for axis, case in zip(axes.flat, cases, strict=False):
            mine = errors[errors["case"] == case]
            for number, (cell, line) in enumerate(mine.groupby("cell", sort=False)):
                axis.plot(line["band"], line["mape_percent"], color=colour(number), linewidth=1.2, label=cell)
            axis.set_title(case, fontsize=9)
        for axis in axes[:, 0]:
            axis.set_ylabel("MAPE (%)")
        for axis in axes[-1]:
            axis.set_xlabel("radial band (low to high)")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, ncols=min(len(labels), 6), loc="outside lower center", fontsize=8, frameon=False
        )
        figure.suptitle(title)
        save(figure, stem)


def _grouped_bars(axis: Axes, values: pd.DataFrame) -> None:
    width = 0.8 / len(values)
    for number, (name, row) in enumerate(values.iterrows()):
        shift = (number - (len(values) - 1) / 2) * width
        axis.bar(
            [position + shift for position in range(len(row))],
            row,
            width * 0.92,
            label=str(name),
            color=colour(number + 1),
        )
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_xticks(range(values.shape[1]), [f"{case}" if case != MEAN else "mean" for case in values.columns])
    axis.grid(axis="x", visible=False)
