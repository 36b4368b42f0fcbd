"""One model against another: exact splits of planted differences, files, and every bad input by its line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from blindsr.apps import score, score_against
from blindsr.cli import app
from blindsr.data import images
from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.reporting.gain_split import gain_db
from blindsr.runtime.errors import UserError

CASES = ["clean", "blur"]


def scores(turned: float = 0.0, scaled: float = 1.0, names: str = "abcdef") -> list[Score]:
    """Six images of two cases, whose cosine and amplitude are moved by known amounts."""
    made = []
    for number, name in enumerate(names):
        for place, case in enumerate(CASES):
            c, g = 0.3 + 0.02 * number + turned, (0.7 + 0.05 * place + 0.01 * number) * scaled
            values = {"psnr_db": 25 + float(gain_db(c, g)), "detail_cosine": c, "detail_amplitude": g}
            made.append(Score(Key("Mine", case, name), values))
    return made


def test_a_scaled_model_differs_in_amplitude_alone() -> None:
    table = score_against.compare(scores(scaled=0.5), scores(), CASES).set_index("case")
    assert list(table.index) == [*CASES, "mean"]
    assert (table["direction"].abs() < 1e-12).all()
    np.testing.assert_allclose(table["amplitude"], table["total"], atol=1e-12)
    np.testing.assert_allclose(table["total"], table["psnr_db"] - table["against_db"], atol=1e-12)
    assert (table["amplitude_low"] > 0).all()
    assert table.loc["mean", "total"] == pytest.approx(table.loc[CASES, "total"].mean(), abs=1e-12)


def test_a_turned_model_differs_in_direction_alone() -> None:
    table = score_against.compare(scores(turned=0.1), scores(), CASES)
    assert (table["amplitude"].abs() < 1e-12).all()
    assert (table["direction_low"] > 0).all()
    assert (table["direction_low"] <= table["direction"]).all()
    assert (table["direction"] <= table["direction_high"]).all()


def test_one_that_adds_nothing_is_compared_too() -> None:
    """bicubic, whose cosine is not defined."""
    nothing = [Score(one.key, {"psnr_db": 25.0, "detail_amplitude": 0.0}) for one in scores()]
    table = score_against.compare(scores(), nothing, CASES)
    assert (table["direction_low"] > 0).all()
    np.testing.assert_allclose(table["direction"] + table["amplitude"], table["total"], atol=1e-12)
    np.testing.assert_allclose(table["total"], table["psnr_db"] - 25, atol=1e-12)


def test_images_that_one_side_lacks_do_not_count() -> None:
    broken = scores(scaled=0.5)
    broken[0].values["psnr_db"] = float("nan")  # type: ignore[index]
    table = score_against.compare(broken, scores(names="bcdefg"), CASES)
    assert set(table["images"]) == {5}
    with pytest.raises(UserError, match="no image in common"):
        score_against.compare(scores(names="ab"), scores(names="cd"), CASES)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, made in (("a.csv", scores(scaled=0.5)), ("b.csv", scores())):
        benchmarks.write_csv(made, score_against.NEEDED, Path(name))
    benchmarks.write_csv(scores(), ["psnr_db"], Path("whole.csv"))
    done = CliRunner().invoke(app, ["score", "a.csv", "--against", "b.csv"])
    assert done.exit_code == 0, done.output
    assert "a.csv minus b.csv in dB of PSNR, 6 images" in done.output
    assert "…" not in done.output
    assert max(map(len, done.output.split("direction:")[0].splitlines()[1:])) <= 80
    Path("plain.csv").write_text("benchmark,case,image,psnr_db\nMine,clean,a,25.0\n")
    with pytest.raises(UserError, match="plain.csv lacks detail_cosine, detail_amplitude: score again"):
        score_against.of_files(Path("plain.csv"), Path("b.csv"))
    with pytest.raises(UserError, match=r"other.csv cannot be read \(No such file or directory\)"):
        score_against.of_files(Path("a.csv"), Path("other.csv"))
    Path("bare.csv").write_text("benchmark,case,image,psnr_db\n")
    with pytest.raises(UserError, match="bare.csv has no rows"):
        score_against.of_files(Path("a.csv"), Path("bare.csv"))


def test_two_models_on_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model against itself: all differences are 0; rows of both are written, and the split is in the JSON."""
    monkeypatch.chdir(tmp_path)
    Path("Mine").mkdir()
    for seed, name in enumerate("ab"):
        small = np.random.default_rng(seed).integers(0, 256, (8, 7, 3), dtype=np.uint8)
        images.write_png(Path("Mine") / f"{name}.png", images.bicubic_upscale(small, 8))
    given = {"cases": CASES, "metrics": ["ssim"], "csv": Path("s.csv"), "as_json": Path("s.json")}
    score.run(Path("Mine"), "bicubic", against="bicubic", **given)
    assert "bicubic minus bicubic in dB of PSNR, 2 images" in capsys.readouterr().out
    assert Path("s.csv").read_bytes() == Path("s-against.csv").read_bytes()
    assert Path("s.csv").read_text().startswith("benchmark,case,image,ssim,psnr_db,detail_cosine,detail_amplitude\n")
    report = json.loads(Path("s.json").read_text())
    assert report["against"] == "bicubic"
    assert [row["case"] for row in report["split"]] == [*CASES, "mean"]
    assert all(row["total"] == row["direction"] == row["amplitude"] == 0 for row in report["split"])
    assert not list(tmp_path.glob(".*"))


def test_one_image_has_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    score_against.print_table(score_against.compare(scores(names="a"), scores(names="a"), CASES), "x", "y")
    said = capsys.readouterr().out
    assert "1 image: no interval can be given; use at least 20" in said
    assert "nan" not in said


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "a.csv is a file: to compare the scores in it, add --against OTHER.csv"),
        (["--against", "b.csv", "--model", "bicubic"], "a.csv is a file: .*leave --model out"),
    ],
)
def test_a_file_in_the_place_of_the_folder_is_said(more: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["score", "a.csv", *more])
    assert isinstance(done.exception, UserError)
    assert re.search(says, str(done.exception))


def test_without_a_model_it_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["score", str(tmp_path)])
    assert done.exit_code == 2
    assert "give the network to score" in done.output
