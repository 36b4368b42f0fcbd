"""Where `blindsr score` writes: places that cannot be written, and files of scores that are there already."""

import json
from pathlib import Path

import numpy as np
import pytest

from blindsr.apps import score, score_files, score_report
from blindsr.data import images, suite
from blindsr.evaluation.scoring import Key, Score
from blindsr.runtime.errors import UserError

COLUMNS = ["psnr_db", "lpips"]


def scores(names: str = "abc", first: float = 30.0) -> list[Score]:
    values = {name: {"psnr_db": 25.1234567, "lpips": float("nan")} for name in names}
    values["a"] = {"psnr_db": first}
    return [Score(Key("Mine", "clean", name), values[name]) for name in names]


def report(made: list[Score]) -> str:
    return score_report.as_json({"model": "x"}, made, COLUMNS, [])


def write(path: Path, made: list[Score], overwrite: bool = False) -> None:
    if path.suffix == ".csv":
        score_files.write_csv(path, made, COLUMNS, overwrite=overwrite)
    else:
        score_files.write_json(path, report(made), overwrite=overwrite)


@pytest.mark.parametrize("name", ["s.csv", "s.json"])
def test_more_of_the_same_may_be_written_and_nothing_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path, scores("ab"))
    keys = [score.key for score in scores("abc")]
    score_files.require_room(path, keys, COLUMNS)
    for made in (scores("ab"), scores("abc")):  # an image was scored in a second run
        write(path, made)
    whole = path.read_bytes()
    for made in (scores("ab"), scores("abc", first=31.0), scores("abc", first=float("inf"))):
        with pytest.raises(UserError, match=f"{name} is there already, with other scores: .* --overwrite"):
            write(path, made)
    assert path.read_bytes() == whole
    write(path, scores("ab"), overwrite=True)
    assert path.read_bytes() != whole
    path.write_text("mine")
    with pytest.raises(UserError, match="with other scores"):
        write(path, scores("ab"))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["s.csv", "s.json"])
def test_other_images_metrics_and_files_are_seen_before_anything_is_scored(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    keys = [score.key for score in scores("abc")]
    score_files.require_room(path, keys, COLUMNS)  # nothing is there
    write(path, scores("abc"))
    for wanted, columns in ((keys[:2], COLUMNS), (keys, ["ssim"]), (keys, [*COLUMNS, "ssim"])):
        with pytest.raises(UserError, match="is there already, with other scores"):
            score_files.require_room(path, wanted, columns)
    for content in ("mine", "", "{}", json.dumps({"scores": []}), "a,b,c,psnr_db\n", "benchmark,case\n1,2\n"):
        path.write_text(content)
        with pytest.raises(UserError, match="is there already, with other scores"):
            score_files.require_room(path, keys, COLUMNS)
    score_files.require_room(Path("/dev/stdout"), keys, COLUMNS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two images, outside of any project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Mine").mkdir()
    for seed, name in enumerate("ab"):
        small = np.random.default_rng(seed).integers(0, 256, (8, 7, 3), dtype=np.uint8)
        images.write_png(tmp_path / "Mine" / f"{name}.png", images.bicubic_upscale(small, 8))
    return tmp_path / "Mine"


def test_places_are_checked_before_anything_is_scored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "degrade_suite", None)
    Path("file").write_text("")
    for options, says in (
        ({"csv": Path("file/s.csv")}, r"file/s.csv cannot be written \(Not a directory\)"),
        ({"as_json": folder}, "is a folder: name the file to write"),
        ({"csv": Path("s"), "as_json": Path("s")}, "s is named twice"),
        ({"csv": Path("/dev/stdout"), "against": "bilinear"}, "--against has two: name a file"),
        (
            {"csv": Path("s-against.csv"), "against": "bilinear", "as_json": Path("s-against-against.csv")},
            "named twice",
        ),
    ):
        with pytest.raises(UserError, match=says):
            score.run(folder, "bicubic", **options)


def test_scores_of_something_else_are_not_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"cases": ["clean"], "metrics": ["psnr_db"], "csv": Path("s.csv")}
    score.run(folder, "bicubic", **more)
    bicubic = Path("s.csv").read_bytes()
    score.run(folder, "bicubic", **more)  # the same again
    assert Path("s.csv").read_bytes() == bicubic
    other = r"s\.csv is there already, with other scores: name another file, or give --overwrite"
    with pytest.raises(UserError, match=other):
        score.run(folder, "bilinear", **more)
    with monkeypatch.context() as patch:  # before anything is scored
        patch.setattr(suite, "degrade_suite", None)
        for given in ({"metrics": ["ssim"]}, {"cases": ["blur"]}, {"csv": None, "as_json": Path("s.csv")}):
            if "as_json" in given:
                Path("s.csv").write_text("mine")
            with pytest.raises(UserError, match=other):
                score.run(folder, "bilinear", **(more | given))
        Path("s.csv").write_bytes(bicubic)
        with pytest.raises(UserError, match="s-against.csv is there already"):
            Path("s-against.csv").write_text("")
            score.run(folder, "bilinear", against="bicubic", **(more | {"csv": Path("s-against.csv")}))
    assert Path("s.csv").read_bytes() == bicubic
    score.run(folder, "bilinear", overwrite=True, **more)
    assert Path("s.csv").read_bytes() != bicubic


def test_the_other_model_is_looked_at_before_anything_is_scored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "degrade_suite", None)
    for against, says in (
        ("nosuch.pth", "no such file"),
        ("b.csv", "b.csv is a CSV of scores, and .*Mine a f"),
    ):
        with pytest.raises(UserError, match=says):
            score.run(folder, "bicubic", against=against)


def test_metrics_of_which_none_can_be_computed_are_an_error(folder: Path) -> None:
    with pytest.raises(UserError, match="none of lpips can be computed here"):
        score.run(folder, "bicubic", metrics=["lpips"])
