"""All figures of a report: which there are, in which order, and what is left out where there is no data."""

from pathlib import Path

import pytest

import synthetic_grid
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.reporting import scores
from blindsr.reporting.page import all_figures
from blindsr.reporting.page.rendering import PageFigure
from blindsr.reporting.source import Source
from blindsr.runtime.errors import UserError

ALWAYS = ["learning_curves", "detail_curves", "cosine_amplitude", "frequency", "channel_entropy"]


def source(folder: Path, parsed: Params, *, gallery: bool, here: bool = True) -> Source:
    """Files of a grid on Set5 and on a set that is missing; with `here` false, both are."""
    sizes = {"Set5": 5} if here else {}
    synthetic_grid.write(folder, folder / "index", parsed, {"Set5": 5}, gallery=gallery)
    known = scores.read(folder / "scores", parsed.scored, parsed.evaluate.metrics)
    holes = {name: "ask" for name in parsed.data.benchmarks if name not in sizes}
    known = known[known["benchmark"].isin(list(sizes))]
    return Source(parsed, folder, known, list(parsed.data.benchmarks), holes)


def settings(names: list[str]) -> Params:
    return synthetic_grid.settings(benchmarks=["Set5", "Gone"], names=names, seeds=[0, 1])


def drawn(found: Source) -> list[PageFigure]:
    return all_figures.draw(found, all_figures.gallery(found))


def test_every_figure_is_written_and_captioned(tmp_path: Path) -> None:
    made = drawn(source(tmp_path, settings(["none", "dropout", "rff"]), gallery=True))
    assert [figure.key for figure in made] == [
        "improvement", *ALWAYS, "regularizers", "cost_quality", "separation", "planes",
        "interaction",
    ]  # fmt: skip
    for figure in made:
        assert figure.svg == (tmp_path / "figures" / f"{figure.key}.svg").read_text()
        assert (tmp_path / "figures" / f"{figure.key}.png").is_file()
        assert figure.caption.endswith(".")
    pictures = (tmp_path / "figures" / "comparison_srresnet_Set5.svg").read_text()
    assert "image000" in pictures
    assert "clean, largest difference" in pictures  # the planted gain is largest in the first case


def test_without_pictures_or_a_baseline(tmp_path: Path) -> None:
    made = [figure.key for figure in drawn(source(tmp_path, settings(["rff"]), gallery=False))]
    assert "improvement" not in made
    assert not list((tmp_path / "figures").glob("comparison*"))
    assert made[: len(ALWAYS)] == ALWAYS


def test_only_analysed_seeds_are_read(tmp_path: Path) -> None:
    """Seed 1 was not analysed: its files are not missed."""
    parsed = settings(["none", "rff"])
    assert parsed.analysed == [Run("srresnet", "none", 0), Run("srresnet", "rff", 0)]
    found = source(tmp_path, parsed, gallery=False)
    for reg in ("none", "rff"):
        for file in (tmp_path / "analysis" / f"srresnet-{reg}-1").iterdir():
            file.unlink()
    assert set(found.analysis("separation")["seed"]) == {0}


def test_a_gallery_of_other_settings_is_refused(tmp_path: Path) -> None:
    """A network more than the gallery has: the page would ask for pictures that are not there."""
    found = source(tmp_path, settings(["none", "rff"]), gallery=True)
    found.params = settings(["none", "linear", "rff"])
    with pytest.raises(UserError, match=r"index.json is of other cases or networks.*run `dvc repro gallery`"):
        all_figures.gallery(found)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"benchmark": "Set5"}]', "[\xe9"])
def test_a_damaged_gallery_is_one_line(tmp_path: Path, text: str) -> None:
    found = source(tmp_path, settings(["none", "rff"]), gallery=True)
    (tmp_path / "gallery" / "index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"index.json is damaged: run `dvc repro --force gallery`"):
        all_figures.gallery(found)


def test_a_gallery_of_more_benchmarks_is_cut(tmp_path: Path) -> None:
    found = source(tmp_path, settings(["none", "rff"]), gallery=True)
    assert [entry["benchmark"] for entry in all_figures.gallery(found)] == ["Set5"]
    found.suite = ["Gone"]
    assert all_figures.gallery(found) == []


@pytest.mark.parametrize("here", [True, False])
def test_a_run_without_images_has_no_crops(tmp_path: Path, here: bool) -> None:
    made = [figure.key for figure in drawn(source(tmp_path, settings(["none"]), gallery=False, here=here))]
    assert ("planes" in made) == here
