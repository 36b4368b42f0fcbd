"""Pictures side by side: every pixel as it is, in order, labelled, the same bytes every time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from blindsr.data import images
from blindsr.reporting import visual_figures

MODELS = {"bicubic": "bicubic", "net-none": "none", "net-rff": "rff"}
PSNR = {"bicubic": 20.0, "net-none": 22.0, "net-rff": 24.567}


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    """An entry of the gallery: HR and SR of 32 px, LR of 8, noise of their own each."""
    places = {"hr": "hr.png", "lr": "lr.png", **{name: f"{name}.png" for name in MODELS}}
    for number, (name, place) in enumerate(places.items()):
        side = 8 if name == "lr" else 32
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        images.write_png(tmp_path / place, pixels)
    models = {name: {"picture": places[name], "psnr_db": PSNR[name]} for name in MODELS}
    case = {"lr": "lr.png", "models": models}
    return {"benchmark": "Toy", "image": "a", "rule": "largest difference", "window": [4, 8, 32, 32],
            "hr": "hr.png", "cases": {"noise": case}}  # fmt: skip


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []
    save = visual_figures.save
    monkeypatch.setattr(visual_figures, "save", lambda figure, stem: (figures.append(figure), save(figure, stem)))
    return figures


def test_pixels_and_labels(entry: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    rows = [(entry, "noise")] * 2
    visual_figures.comparison(rows, MODELS, tmp_path, tmp_path / "out" / "x", title="T")
    axes = figures[0].axes
    assert len(axes) == 10
    shown = [np.asarray(axis.get_images()[0].get_array()) for axis in axes[:5]]
    for pixels, name in zip(shown, ["hr", "lr", *MODELS], strict=True):
        own = images.read_rgb(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(pixels, own.repeat(4, 0).repeat(4, 1) if name == "lr" else own)
    assert [axis.get_xlabel() for axis in axes[:5]] == [
        "HR",
        "LR",
        "bicubic\n20.00 dB",
        "none\n22.00 dB",
        "rff\n24.57 dB",
    ]
    assert axes[0].get_ylabel() == "a\nnoise, largest difference"
    assert {axis.get_images()[0].get_interpolation() for axis in axes} == {"none"}


def test_same_bytes(entry: dict[str, Any], tmp_path: Path) -> None:
    for stem in ("one", "two"):
        visual_figures.comparison([(entry, "noise")], MODELS, tmp_path, tmp_path / stem, title="drawn (small)")
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    svg = (tmp_path / "one.svg").read_text()
    assert "<dc:date>" not in svg
    for label in ("drawn", "HR", "LR", "bicubic", "rff"):
        assert label in svg
