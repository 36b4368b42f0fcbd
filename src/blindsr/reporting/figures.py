"""Figures as SVG and PNG: readable in print, safe for colour-blind readers, the same bytes every time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blindsr.config.schema import TRAINED
from blindsr.reporting.style import STYLE, colour, curve, headline, legend_below, loss_label, marker, save


def improvement_bars(gains: pd.DataFrame, bicubic: pd.DataFrame, stem: Path, *, title: str) -> None:
    """PSNR gained over the baseline per case and regularizer, one panel per backbone (Fig. 6 of the paper).

    `gains` as from `differences.pooled` by case: bars with their 95 % intervals. `bicubic` (backbone x cases and
    their mean) holds bicubic minus the baseline, drawn as a line.
    """
    backbones = list(dict.fromkeys(gains["backbone"]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.2 * len(backbones)), layout="constrained")
        axes = figure.subplots(len(backbones), 1, squeeze=False)[:, 0]
        for axis, backbone in zip(axes, backbones, strict=True):
            _bars(axis, gains[gains["backbone"] == backbone])
            axis.hlines(
                bicubic.loc[backbone],
                np.arange(bicubic.shape[1]) - 0.45,
                np.arange(bicubic.shape[1]) + 0.45,
                colors="#777777",
                linestyles="dashed",
                linewidth=1,
                label="bicubic",
            )
            axis.set_ylabel(f"PSNR − {backbone} without\nregularizer (dB)")
            axis.legend(ncols=4, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.1))
        headline(figure, title)
        save(figure, stem)


def learning_curves(
    curves: pd.DataFrame, losses: Sequence[str], trained_case: str, stem: Path, *, title: str
) -> None:
    """PSNR while training under the hardest case and under the others, per regularizer; a row per backbone.

    `curves` has backbone, reg, seed, iteration, a column for each of the `losses` and a column psnr_db_CASE per case
    of the validation; lines are means over seeds, bands reach from the least to the greatest seed. `trained_case` is
    the case whose kinds of degradation training has too; the paper's story is the gap between the two.
    """
    inside = f"psnr_db_{trained_case.replace('+', '-')}"
    others = [name for name in curves if name.startswith("psnr_db_") and name != inside]
    panels = {name: curves[name] for name in losses}
    if others and inside in curves:
        panels = {f"{loss_label(name)} to HR": curves[name] for name in losses} | {
            f"PSNR {'as in training' if trained_case == TRAINED else f'under {trained_case}'} (dB)": curves[inside],
            "mean PSNR under\n" + ", ".join(map(_case, others)) + " (dB)": (
                curves[others]
                .replace(np.inf, np.nan)
                .mean(axis=1, skipna=False)  # a flat window has no error at first
            ),
        }
    with mpl.rc_context(STYLE):
        count = curves["backbone"].nunique()
        figure = Figure(figsize=(3.7 * len(panels), 3 * count + 0.7), layout="constrained")
        axes = figure.subplots(count, len(panels), squeeze=False)
        regs = {name: number for number, name in enumerate(dict.fromkeys(curves["reg"]))}
        for row, (backbone, mine) in zip(axes, curves.groupby("backbone", sort=False), strict=True):
            for axis, (label, values) in zip(row, panels.items(), strict=True):
                for reg, own in mine.groupby("reg", sort=False):
                    seeds = values.loc[own.index].dropna().groupby(own["iteration"])
                    curve(axis, seeds, regs[str(reg)], str(reg))
                axis.set(xlabel="iteration", ylabel=f"{label}\n{backbone}" if axis is row[0] else label)
        legend_below(figure)
        headline(figure, title)
        save(figure, stem)


def _case(column: str) -> str:
    """The case of a column psnr_db_CASE, in whose name + is written as -."""
    return column.removeprefix("psnr_db_").replace("-", "+")


def frequency_curves(errors: pd.DataFrame, stem: Path, *, title: str) -> None:
    """Spectrum error per radial band, one line per row of the tables, one panel per case (Fig. 2 of the paper).

    `errors` has the columns row, case, band and mape_percent, means over benchmarks, images and seeds.
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
            for number, (name, line) in enumerate(mine.groupby("row", sort=False)):
                look = {"color": colour(number), "linewidth": 1.2, "label": str(name)}
                axis.plot(
                    line["band"], line["mape_percent"], marker=marker(number), markersize=3.5, markevery=4, **look
                )
            axis.set_title(case, fontsize=9)
        for axis in axes[:, 0]:
            axis.set_ylabel("MAPE (%)")
        for axis in axes[-1]:
            axis.set_xlabel("radial band (low to high)")
        legend_below(figure)
        headline(figure, title)
        save(figure, stem)


def cost_against_quality(costs: pd.DataFrame, stem: Path, *, title: str) -> None:
    """Operations of one training run against the mean PSNR that it bought.

    `costs` has backbone, reg, tflop and psnr_db. Intervals are left to the tables: over images they are as wide as
    the images differ, which says nothing of the rows.
    """
    regs = {name: number for number, name in enumerate(dict.fromkeys(costs["reg"]))}
    backbones = {name: marker(number) for number, name in enumerate(dict.fromkeys(costs["backbone"]))}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axis = figure.subplots()
        for one in costs.itertuples():
            look: Any = {"color": colour(regs[one.reg]), "marker": backbones[one.backbone], "linestyle": "none"}
            axis.plot(one.tflop, one.psnr_db, markersize=8, label=f"{one.backbone}, {one.reg}", **look)
        if costs["tflop"].max() > 3 * costs["tflop"].min():
            axis.set_xscale("log")
        axis.set(xlabel="operations of one training run (TFLOP)", ylabel="mean PSNR of all cases (dB)")
        legend_below(figure, columns=3)
        headline(figure, title)
        save(figure, stem)


def _bars(axis: Axes, gains: pd.DataFrame) -> None:
    groups = list(gains.groupby("reg", sort=False))
    width = 0.8 / len(groups)
    for number, (name, rows) in enumerate(groups):
        places = np.arange(len(rows)) + (number - (len(groups) - 1) / 2) * width
        ends = np.nan_to_num(np.clip([rows["difference"] - rows["low"], rows["high"] - rows["difference"]], 0, None))
        axis.bar(places, rows["difference"], width * 0.92, color=colour(number + 1), label=str(name))
        axis.errorbar(
            places, rows["difference"], yerr=ends, fmt="none", ecolor="#333333", elinewidth=0.8, capsize=1.5
        )
    cases = list(groups[0][1]["case"])
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_xticks(range(len(cases)), cases)
    axis.grid(axis="x", visible=False)
