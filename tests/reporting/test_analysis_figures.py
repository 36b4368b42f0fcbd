"""Figures of the analyses: the same bytes every time, no date, every series there, for one backbone and for two."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from blindsr.reporting import analyses
from blindsr.reporting import analysis_figures as figures

REGS = ["none", "dropout", "rff"]
CASES = ["clean", "blur", "noise"]


def rows(backbones, *levels, **columns):
    """Every combination of backbone, regularizer, seed and `levels` (name, values); columns drawn from a seed."""
    index = pd.MultiIndex.from_product(
        [backbones, REGS, [0, 1], *(values for _, values in levels)],
        names=["backbone", "reg", "seed", *(name for name, _ in levels)],
    )
    generator = np.random.default_rng(0)
    return pd.DataFrame({name: scale * generator.random(len(index)) for name, scale in columns.items()}, index=index)


def at_work(backbones, stem):
    curves = rows(
        backbones, ("iteration", range(10, 100, 10)), penalty=1e-3, penalty_gradient_share=1, view_distance=1
    )
    curves = curves.reset_index()
    curves.loc[curves["reg"] == "none", ["penalty", "penalty_gradient_share", "view_distance"]] = 0.0
    figures.regularizers_at_work(curves, stem, title="drawn")
    return {"dropout", "rff", "view distance"}


def entropy(backbones, stem):
    figures.channel_entropy(rows(backbones, ("case", CASES), entropy_nats=2).reset_index(), stem, title="drawn")
    return {*REGS, *CASES}


def separation(backbones, stem):
    found = rows(backbones, ("layer", ["last", "blocks.0"]), ("label", ["degradation", "content"]), chi=5)
    found = (found + 0.1).assign(low=found["chi"] * 0.5 + 0.05, high=found["chi"] * 2 + 0.2)
    figures.separation(found.reset_index(), stem, title="drawn")
    return {*REGS, "index by content"}


def planes(backbones, stem):
    figures.planes(rows(backbones, ("case", CASES), ("i", range(6)), x=9, y=9).reset_index(), stem, title="drawn")
    return {*CASES, "net, rff"}


def interaction(backbones, stem):
    crops = [("benchmark", ["Toy"]), ("image", ["a"]), ("top", [0]), ("left", [0, 16])]
    plain = rows(backbones, *crops, ("order", [0, 7, 14]), ("rate", [0.0]), squared_strength=1)
    dropped = rows(backbones, *crops, ("order", [14]), ("rate", [0.3, 0.7]), squared_strength=0.5)
    strengths = analyses.interaction_strengths(pd.concat([plain, dropped]).reset_index())
    figures.interaction(strengths, stem, title="drawn")
    return {*REGS, "Dropout rate of the other patches"}


DRAW = [at_work, entropy, separation, planes, interaction]


@pytest.mark.parametrize("draw", DRAW, ids=lambda draw: draw.__name__)
def test_same_bytes_and_not_empty(draw, tmp_path: Path) -> None:
    for stem in ("one", "two"):
        draw(["net"], tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert "<dc:date>" not in (tmp_path / "one.svg").read_text()
    pixels = np.asarray(Image.open(tmp_path / "one.png").convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("draw", DRAW, ids=lambda draw: draw.__name__)
def test_everything_is_named_with_two_backbones(draw, tmp_path: Path) -> None:
    labels = draw(["net", "other"], tmp_path / "x")
    svg = (tmp_path / "x.svg").read_text()
    for label in {"drawn", "net", "other", *labels}:
        assert label in svg, label


def test_nothing_recorded_is_no_figure(tmp_path: Path) -> None:
    curves = pd.DataFrame({"backbone": "net", "reg": "none", "seed": 0, "iteration": [1, 2], "penalty": 0.0})
    figures.regularizers_at_work(curves, tmp_path / "none", title="T")
    assert not list(tmp_path.iterdir())


def test_what_only_validation_records_is_a_line_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = pd.DataFrame({"backbone": "net", "reg": "rff", "seed": 0, "iteration": [1, 2, 3, 4], "penalty": 1.0})
    curves["mean_distance"] = [float("nan"), 0.5, float("nan"), 0.25]
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "save", lambda figure, stem: drawn.append(figure))
    figures.regularizers_at_work(curves, tmp_path / "some", title="T")
    (line,) = drawn[0].axes[1].lines
    assert line.get_xydata().tolist() == [[2, 0.5], [4, 0.25]]
