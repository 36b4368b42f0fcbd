"""`score` with metrics of the pyiqa package, and of photos without HR images."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import pyiqa_stand_in
from blindsr.apps import score
from blindsr.cli import app
from blindsr.data import images
from blindsr.runtime.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three images, outside of any project, beside a stand-in for the package."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Mine").mkdir()
    for seed, name in enumerate("abc"):
        drawn = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
        images.write_png(tmp_path / "Mine" / f"{name}.png", images.bicubic_upscale(drawn, 8))
    (tmp_path / "packages").mkdir()
    with pyiqa_stand_in.installed(tmp_path / "packages", monkeypatch):
        yield tmp_path / "Mine"


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_metrics_of_a_package_stand_beside_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["psnr_db", "pyiqa_gap", "pyiqa_fetched"]
    score.run(folder, "bicubic", cases=["clean"], metrics=columns, csv=Path("s.csv"))
    hr = images.read_rgb(folder / "a.png")
    sr = images.bicubic_upscale(images.bicubic_downscale(hr, 4), 4)
    assert float(rows("s.csv")[0]["pyiqa_gap"]) == pytest.approx(np.abs(sr.astype(float) - hr).mean() / 255, abs=2e-3)
    assert {row["pyiqa_fetched"] for row in rows("s.csv")} == {""}
    assert "pyiqa" in capsys.readouterr().out


def test_photos_without_hr_images_are_upscaled_as_they_are(folder: Path) -> None:
    wanted = ["pyiqa_light_a_plus"]
    score.run(folder, "bicubic", unpaired=True, metrics=wanted, scale=2, csv=Path("s.csv"), as_json=Path("s.json"))
    sr = images.bicubic_upscale(images.read_rgb(folder / "a.png"), 2)
    assert [row["case"] for row in rows("s.csv")] == ["real"] * 3
    assert float(rows("s.csv")[0]["pyiqa_light_a_plus"]) == pytest.approx(sr.mean() / 255, abs=1e-3)
    assert json.loads(Path("s.json").read_text("utf-8"))["means"].keys() == {"pyiqa_light_a_plus"}
    (folder / "b.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="1 of 3 scores are missing"):
        score.run(folder, "bicubic", unpaired=True, metrics=wanted)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "--unpaired takes metrics that need no HR image: name them, as --metrics pyiqa_niqe"),
        ({"metrics": ["psnr_db", "pyiqa_light_a_plus", "pyiqa_gap"]}, "psnr_db, pyiqa_gap: compared with HR images"),
        ({"metrics": ["pyiqa_light_a_plus"], "cases": ["clean"]}, "--cases is for HR images"),
        ({"metrics": ["pyiqa_light_a_plus"], "against": "bilinear"}, "--against is for HR images"),
        ({"metrics": ["pyiqa_fetched"]}, "none of pyiqa_fetched can be computed here, as said above"),
    ],
)
def test_what_photos_without_hr_images_cannot_have(folder: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        score.run(folder, "bicubic", unpaired=True, **options)


def test_without_the_package_nothing_is_said_to_need_hr_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(UserError, match="none of pyiqa_niqe can be computed here, as said above"):
        score.run(folder, "bicubic", unpaired=True, metrics=["pyiqa_niqe"])
    assert "pyiqa is not installed" in caplog.text
    score.run(folder, "bicubic", cases=["clean"], metrics=["psnr_db", "pyiqa_niqe"], csv=Path("s.csv"))
    assert [(bool(row["psnr_db"]), row["pyiqa_niqe"]) for row in rows("s.csv")] == [(True, "")] * 3


def test_the_command_line(folder: Path) -> None:
    words = ["score", str(folder), "--model", "bicubic", "--unpaired", "--metrics", "pyiqa_small,pyiqa_light_a_plus"]
    result = CliRunner().invoke(app, [*words, "--download-weights", "--csv", "s.csv"])
    assert result.exit_code == 0, result.output
    assert [(row["image"], row["pyiqa_small"]) for row in rows("s.csv")] == [("a", ""), ("b", ""), ("c", "")]
    assert all(row["pyiqa_light_a_plus"] for row in rows("s.csv"))
