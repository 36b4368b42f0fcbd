"""Figures: the same bytes every time, no date, everything that is drawn is there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blindsr.reporting import figures

CASES = ["clean", "noise", "mean"]


def bars(stem: Path) -> None:
    index = pd.MultiIndex.from_tuples(
        [("Toy", "net", "dropout"), ("Toy", "net", "rff")], names=["benchmark", "backbone", "reg"]
    )
    differences = pd.DataFrame([[0.1, -0.2, 0.0], [0.3, 0.1, 0.2]], index=index, columns=CASES)
    reference = pd.DataFrame([[0.5, -1.0, 0.0]], index=index.droplevel("reg")[:1], columns=CASES)
    figures.improvement_bars(differences, reference, stem, title="bars")


def curves(stem: Path) -> None:
    curve = pd.DataFrame(
        {"iteration": [1, 2], "l1": [0.5, 0.4], "view_distance": [0.2, 0.1], "penalty_gradient_share": [0.1, 0.2]}
    )
    figures.learning_curves({"net-none-0": curve, "net-rff-0": curve * 0.9}, stem, title="curves")


def frequency(stem: Path) -> None:
    rows = [(cell, case, band, 10.0 * band) for cell in ("a", "b") for case in CASES for band in range(4)]
    errors = pd.DataFrame(rows, columns=["cell", "case", "band", "mape_percent"])
    figures.frequency_curves(errors, stem, title="frequency")


@pytest.mark.parametrize("draw", [bars, curves, frequency], ids=lambda draw: draw.__name__)
def test_same_bytes_and_not_empty(draw, tmp_path: Path) -> None:
    draw(tmp_path / "one")
    draw(tmp_path / "two")
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    svg = (tmp_path / "one.svg").read_text()
    assert "<dc:date>" not in svg
    assert draw.__name__ in svg
    pixels = np.asarray(Image.open(tmp_path / "one.png").convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_labels_of_the_bars(tmp_path: Path) -> None:
    bars(tmp_path / "x")
    svg = (tmp_path / "x.svg").read_text()
    for label in ("clean", "noise", "mean", "dropout", "rff", "bicubic"):
        assert label in svg
