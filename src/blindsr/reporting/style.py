"""What all figures share: colours, markers, labels, rules of matplotlib, and files that are the same every time."""

import io
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blindsr.runtime import files

# Okabe and Ito's palette and grey, with a marker for each colour, so that lines do not rest on colour alone. There
# are more markers: the ninth series has the first one's colour and a shape of its own
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#8C8C8C")
MARKERS = "oXsD^vP*<>h"
STYLE: Any = {
    "svg.hashsalt": "blindsr",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "figure.dpi": 150,
}


def save(figure: Figure, stem: Path) -> None:
    """Write <stem>.svg and <stem>.png without dates."""
    for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
        content = io.BytesIO()
        figure.savefig(content, format=suffix[1:], metadata=metadata)
        files.write_atomic(stem.with_suffix(suffix), content.getvalue())


def loss_label(name: str) -> str:
    """What people call a loss: L1, Charbonnier, Perceptual."""
    return name.replace("_", " ").capitalize()


def colour(number: int) -> str:
    """Colour of the series with that number; after eight they begin again."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """Marker of the series with that number."""
    return MARKERS[number % len(MARKERS)]


def curve(axis: Axes, seeds: Any, number: int, label: str) -> None:
    """Draw the mean over seeds as a line, and a band from the least seed to the greatest.

    Args:
        axis: To draw on.
        seeds: Values of all seeds, grouped by what the x axis shows (of pandas).
        number: Of the series, which has its colour and marker.
        label: Of the series, in the legend.
    """
    mean = seeds.mean()
    axis.plot(mean.index, mean, color=colour(number), linewidth=1.3, label=label, marker=marker(number),
              markersize=4, markevery=max(1, len(mean) // 6))  # fmt: skip
    axis.fill_between(mean.index, seeds.min(), seeds.max(), color=colour(number), alpha=0.12, linewidth=0)


def headline(figure: Figure, title: str) -> None:
    """The figure's title; what stands in brackets goes to a line of its own, which keeps narrow figures whole."""
    figure.suptitle(title.replace(" (", "\n(", 1), fontsize=10)


def legend_below(figure: Figure, columns: int = 6) -> None:
    """One legend for all panels, of the series in any of them, under the figure."""
    found: dict[str, Any] = {}
    for axis in figure.axes:
        handles, labels = axis.get_legend_handles_labels()
        found = dict(zip(labels, handles, strict=True)) | found
    rows = max(1, -(-len(found) // columns))
    even = max(1, -(-len(found) // rows))  # no single name in the last row
    figure.legend(
        found.values(), found.keys(), ncols=even, loc="outside lower center", fontsize=8, frameon=False
    )  # fmt: skip
