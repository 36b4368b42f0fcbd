"""Figures: the same bytes every time, no date, everything that is drawn is there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from blindsr.reporting import figures

CASES = ["clean", "noise", "mean"]


def bars(stem: Path) -> None:
    rows = [
        ("net", reg, case, gain, gain - 0.1, gain + 0.1)
        for reg, gains in {"dropout": (0.1, -0.2, 0.0), "rff": (0.3, 0.1, 0.2)}.items()
        for case, gain in zip(CASES, gains, strict=True)
    ]
    gains = pd.DataFrame(rows, columns=["backbone", "reg", "case", "difference", "low", "high"])
    bicubic = pd.DataFrame([[0.5, -1.0, 0.0]], index=["net"], columns=CASES)
    figures.improvement_bars(gains, bicubic, stem, title="bars")


def curves(stem: Path) -> None:
    rows = [
        (backbone, reg, seed, iteration, 0.5 / iteration + 0.01 * seed, 24.0 + iteration + seed, 22.0)
        for backbone in ("net", "other")
        for reg in ("none", "rff")
        for seed in (0, 1)
        for iteration in (1, 2)
    ]
    columns = ["backbone", "reg", "seed", "iteration", "l1", "psnr_db_clean", "psnr_db_b-n-j"]
    figures.learning_curves(pd.DataFrame(rows, columns=columns), ["l1"], "b+n+j", stem, title="curves")


def frequency(stem: Path) -> None:
    rows = [(row, case, band, 10.0 * band) for row in ("none", "rff") for case in CASES for band in range(4)]
    errors = pd.DataFrame(rows, columns=["row", "case", "band", "mape_percent"])
    figures.frequency_curves(errors, stem, title="frequency")


def cost(stem: Path) -> None:
    rows = [("net", "none", 1.0, 25.0), ("net", "rff", 1.1, 25.5), ("other", "none", 9.0, 26.0)]
    costs = pd.DataFrame(rows, columns=["backbone", "reg", "tflop", "psnr_db"])
    figures.cost_against_quality(costs, stem, title="cost")


@pytest.mark.parametrize("draw", [bars, curves, frequency, cost], ids=lambda draw: draw.__name__)
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


@pytest.mark.parametrize(
    ("draw", "labels"),
    [
        (bars, ["clean", "noise", "mean", "dropout", "rff", "bicubic", "PSNR − net without"]),
        (
            curves,
            ["none", "rff", "net", "other", "L1 to HR", "PSNR under b+n+j (dB)", "mean PSNR under", "clean (dB)"],
        ),
        (frequency, ["none", "rff", *CASES]),
        (cost, ["net, none", "net, rff", "other, none", "operations of one training run"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_everything_is_named(draw, labels: list[str], tmp_path: Path) -> None:
    draw(tmp_path / "x")
    svg = (tmp_path / "x.svg").read_text()
    for label in labels:
        assert f">{label}" in svg or f"{label}<" in svg, label


def test_bars_of_one_image_have_no_interval(tmp_path: Path) -> None:
    """NaN ends, as `differences.pooled` gives them for benchmarks of one image."""
    gains = pd.DataFrame({"backbone": "net", "reg": "rff", "case": CASES, "difference": 0.2, "low": np.nan,
                          "high": np.nan})  # fmt: skip
    bicubic = pd.DataFrame([[0.5, -1.0, 0.0]], index=["net"], columns=CASES)
    figures.improvement_bars(gains, bicubic, tmp_path / "x", title="T")
    assert "nan" not in (tmp_path / "x.svg").read_text().lower()


def test_curves_without_validation_are_of_l1_alone(tmp_path: Path) -> None:
    curve = pd.DataFrame({"backbone": "net", "reg": "none", "seed": 0, "iteration": [1, 2], "l1": [0.5, 0.4]})
    figures.learning_curves(curve, ["l1"], "b+n+j", tmp_path / "x", title="T")
    svg = (tmp_path / "x.svg").read_text()
    assert "l1" in svg
    assert "PSNR" not in svg


def test_curves_have_a_panel_for_each_loss(tmp_path: Path) -> None:
    curve = pd.DataFrame(
        {"backbone": "net", "reg": "none", "seed": 0, "iteration": [1, 2], "l1": [0.5, 0.4], "perceptual": [2.0, 1.5]}
    )
    figures.learning_curves(curve, ["l1", "perceptual"], "b+n+j", tmp_path / "x", title="T")
    assert all(name in (tmp_path / "x.svg").read_text() for name in (">l1<", ">perceptual<"))
    scored = curve.assign(**{"psnr_db_clean": 24.0, "psnr_db_b-n-j": 22.0})
    figures.learning_curves(scored, ["perceptual", "l1"], "b+n+j", tmp_path / "y", title="T")
    svg = (tmp_path / "y.svg").read_text()
    assert svg.index("Perceptual to HR") < svg.index("L1 to HR") < svg.index("PSNR under b+n+j")
