"""The networks' pictures side by side (Figs. 5 and 7 of the paper)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from blindsr.data import images
from blindsr.reporting.style import STYLE, headline, save
from blindsr.runtime import escaping


def comparison(
    rows: Sequence[tuple[Mapping[str, Any], str]],
    models: Mapping[str, str],
    folder: Path,
    stem: Path,
    *,
    title: str,
) -> None:
    """One row per (entry of the gallery, case): HR, LR, then every model, the same window.

    `models` maps the names in the gallery to those in the figure. Pictures lie below `folder`. Every pixel of the
    windows is drawn as it is; PSNR is that of the whole image.
    """
    columns = ["HR", "LR", *models.values()]
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(1.55 * len(columns), 1.8 * len(rows) + 0.6), layout="constrained")
        axes = figure.subplots(len(rows), len(columns), squeeze=False)
        for line, (entry, case) in zip(axes, rows, strict=True):
            own = [entry["cases"][case]["models"][name] for name in models]
            paths = [entry["hr"], entry["cases"][case]["lr"], *(one["picture"] for one in own)]
            texts = [
                *columns[:2],
                *(f"{name}\n{one['psnr_db']:.2f} dB" for name, one in zip(columns[2:], own, strict=True)),
            ]
            size = entry["window"][3], entry["window"][2]
            for axis, text, path in zip(line, texts, paths, strict=True):
                axis.imshow(_shown(folder / path, size), interpolation="none")
                axis.set(xticks=[], yticks=[])
                axis.set_xlabel(text, fontsize=7.5)
                for spine in axis.spines.values():
                    spine.set_visible(False)
            line[0].set_ylabel(f"{escaping.svg(entry['image'][:28])}\n{case}, {entry['rule']}", fontsize=7)
        headline(figure, title)
        save(figure, stem)


def _shown(path: Path, size: tuple[int, int]) -> images.RGB:
    """The picture at `size` (width, height), its pixels repeated."""
    image = images.read_rgb(path)
    if image.shape[1::-1] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.NEAREST))
