"""Figures inside the page: without the title that stands above them."""

from pathlib import Path

import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from blindsr.reporting import style
from blindsr.reporting.page import inline_figures

SIZE = "profile embedded, seeds 0: not the paper's experiment"


def drawn(folder: Path) -> str:
    with rc_context(style.STYLE):
        figure = Figure(figsize=(4, 3), layout="constrained")
        figure.subplots().plot([0, 1], label="none")
        style.headline(figure, f"PSNR < 30 & more ({SIZE})")
        style.save(figure, folder / "one")
    return (folder / "one.svg").read_text()


def test_the_title_is_cut_off_and_the_rest_stays(tmp_path: Path) -> None:
    svg = drawn(tmp_path)
    made = inline_figures.without_title(svg, "PSNR < 30 & more", SIZE)
    assert "not the paper" in svg
    assert "not the paper" not in made
    assert "PSNR &lt; 30" not in made
    assert inline_figures.size(svg) == (480, 360)  # 288 pt x 216 pt, a quarter larger than in CSS pixels
    width, height = inline_figures.size(made) or (0, 0)
    assert width == 480
    assert 300 < height < 325  # two lines of 10 pt less
    assert made.count("<path") == svg.count("<path")


@pytest.mark.parametrize("svg", ["<svg></svg>", '<svg viewBox="0 0 1 1"></svg>'])
def test_a_figure_with_another_title_stays_as_it_is(svg: str) -> None:
    assert inline_figures.without_title(svg, "PSNR", SIZE) == svg


def test_rows_of_a_legend_are_as_full_as_each_other() -> None:
    figure = Figure()
    axis = figure.subplots()
    for name in "abcdefg":
        axis.plot([0, 1], label=name)
    style.legend_below(figure)
    assert figure.legends[0]._ncols == 4  # and three, instead of six and one
