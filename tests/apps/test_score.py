"""blindsr score: the table of the map, options, resuming, and every kind of bad input by its line."""

import contextlib
import csv
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

import committed
from blindsr.apps import score
from blindsr.cli import app
from blindsr.data import images, suite
from blindsr.evaluation import benchmarks
from blindsr.plugins.metrics.lpips import load_lpips
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.runtime.errors import Interrupted, UserError

# mean RGB PSNR in dB of bicubic upsampling ×4 in the eight cases, of the map of the project
KNOWN = {
    "Set5": [26.69, 24.89, 22.10, 23.77, 21.30, 22.97, 22.54, 21.91],
    "Set14": [24.46, 23.23, 21.04, 22.58, 20.41, 21.95, 21.54, 21.12],
}
KNOWN_Y = {"Set5": 28.43, "Set14": 26.09}  # likewise PSNR-Y, clean
KNOWN_LPIPS = {"Set5": 0.3397, "Set14": 0.4386}


def picture(height=64, width=56, seed=0):
    return images.bicubic_upscale(
        np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8), 8
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three images, outside of any project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Mine").mkdir()
    for seed, name in enumerate("cab"):
        images.write_png(tmp_path / "Mine" / f"{name}.png", picture(seed=seed))
    return tmp_path / "Mine"


def rows(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_means_table_and_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score.run(folder, "bicubic", csv=Path("out/s.csv"), as_json=Path("s.json"))
    found = rows("out/s.csv")
    detail = ["detail_cosine", "detail_amplitude", "psnr_best_db"]
    assert list(found[0]) == ["benchmark", "case", "image", "psnr_db", "psnr_y_db", "ssim", *detail]
    keys = [(row["benchmark"], row["case"], row["image"]) for row in found]
    assert keys == [("Mine", case, name) for case in suite.PAPER.cases for name in "abc"]
    hr = images.read_rgb(folder / "a.png")
    lr = suite.degrade_suite(hr, suite.PAPER, "Mine", "a")["b+n+j"]
    mine = next(row for row in found if (row["case"], row["image"]) == ("b+n+j", "a"))
    assert float(mine["psnr_db"]) == pytest.approx(psnr(images.bicubic_upscale(lr, 4), hr), abs=0.01)
    report = json.loads(Path("s.json").read_text())
    assert (report["model"], report["benchmark"], report["scale"], report["images"]) == ("bicubic", "Mine", 4, 3)
    mean = np.mean([float(row["psnr_db"]) for row in found if row["case"] == "noise"])
    assert report["means"]["psnr_db"]["noise"] == pytest.approx(mean, abs=1e-5)
    assert len(report["scores"]) == 24
    assert "lpips" not in report["means"]
    shown = capsys.readouterr()
    line = next(line for line in shown.out.splitlines() if " noise " in line)
    assert f" {mean:.2f} " in line
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert len(cells) == 7  # all of them in 80 columns; no trunk, no LPIPS
    assert "note: without LPIPS; to have it, give AlexNet's with --lpips-trunk" in shown.err
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "score: 24/24" in shown.err


def test_cases_metrics_and_names_can_be_chosen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score.run(folder, "bicubic", cases=["jpeg", "clean"], metrics=["ssim"], csv=Path("s.csv"))
    found = rows("s.csv")
    assert [row["case"] for row in found] == ["clean"] * 3 + ["jpeg"] * 3
    assert list(found[0]) == ["benchmark", "case", "image", "ssim"]
    assert all(float(row["ssim"]) > 0 for row in found)
    assert "psnr" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cases": ["clean", "fog"]}, "unknown case fog: choose from clean, blur, noise"),
        (
            {"metrics": ["mse"]},
            "unknown metric 'mse': choose one of detail_amplitude, detail_cosine, lpips, psnr",
        ),
        ({"device": "gpu"}, "unknown device gpu"),
        ({"tile": 0}, "tile must be at least 1"),
        ({"lpips_trunk": Path("absent.pth")}, "no LPIPS trunk at absent.pth"),
    ],
)
def test_wrong_arguments_are_one_line(folder: Path, settings: dict[str, object], says: str, capsys) -> None:
    with pytest.raises(UserError) as caught:
        score.run(folder, "bicubic", **settings)
    assert says in str(caught.value) + capsys.readouterr().err


def test_folders_that_hold_nothing_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        score.run(tmp_path / "absent", "bicubic")
    with pytest.raises(UserError, match="holds no image"):
        score.run(tmp_path, "bicubic")
    Image.fromarray(picture()).save(tmp_path / "a.png")
    Image.fromarray(picture()).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg and a\.png: scores go by name"):
        score.run(tmp_path, "bicubic")


def test_in_a_project_its_suite_counts(folder: Path) -> None:
    settings = committed.settings()
    settings["suite"]["cases"] = {"heavy": {"blur": {"kernel_size": 21, "sigma": 4.0}}}
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    score.run(folder, "bicubic", csv=Path("s.csv"))
    assert {row["case"] for row in rows("s.csv")} == {"heavy"}
    Path("params.yaml").write_text("train: {epochs: 3}\n")  # of somebody else's project
    score.run(folder, "bicubic", csv=Path("t.csv"), cases=["clean"])
    assert {row["case"] for row in rows("t.csv")} == {"clean"}


def bad_folder(folder: Path) -> dict[str, str]:
    """Every kind of bad image beside three good ones -> what its line says."""
    rgb = picture()
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:-100])
    (folder / "text.jpg").write_text("no image")
    images.write_png(folder / "small.png", picture(8, 8))
    images.write_png(folder / "tiny.png", picture(8, 8)[:3, :3])
    cv2.imwrite(str(folder / "deep.png"), rgb.astype(np.uint16) * 257)
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(folder / "deepgrey.png")
    Image.fromarray(np.dstack([rgb, rgb[..., 0]])).save(folder / "alpha.png")
    return {
        "gone": "no image at", "cut": "cannot read image", "text": "is not an image", "small": "is too small",
        "tiny": "is too small", "deep": "more than 8 bits", "deepgrey": "more than 8 bits", "alpha": "is transparent",
    }  # fmt: skip


def test_bad_images_are_a_line_each_and_the_rest_is_scored(folder: Path, capsys) -> None:
    problems = bad_folder(folder)
    with pytest.raises(UserError, match="64 of 88 scores are missing: 8 problems are named above"):
        score.run(folder, "bicubic", csv=Path("s.csv"), as_json=Path("s.json"))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    for name, says in problems.items():
        (line,) = (line for line in lines if f"{name}.png" in line or f"{name}.jpg" in line or f"/{name} (" in line)
        assert says in line
    assert {row["image"] for row in rows("s.csv")} == {"a", "b", "c"}
    assert len(json.loads(Path("s.json").read_text())["problems"]) == 8


def test_grey_and_opaque_alpha_lose_nothing_so_are_scored(folder: Path, capsys) -> None:
    for path in folder.iterdir():
        path.unlink()
    grey = picture()[..., 0]
    Image.fromarray(grey).save(folder / "grey.png")
    images.write_png(folder / "rgb.png", np.dstack([grey] * 3))
    Image.fromarray(np.dstack([grey] * 3 + [np.full_like(grey, 255)])).save(folder / "opaque.png")
    score.run(folder, "bicubic", cases=["clean", "jpeg"], csv=Path("s.csv"))
    found = rows("s.csv")
    for case in ("clean", "jpeg"):
        assert len({row["psnr_db"] for row in found if row["case"] == case}) == 1
    said = capsys.readouterr().err.splitlines()
    notes = [line for line in said if line.startswith("note: ") and "LPIPS" not in line]
    assert len(notes) == 1
    assert "grey.png is greyscale" in notes[0]


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    score.run(folder, "bicubic", csv=Path("whole.csv"))
    append, calls = score.Journal.append, []

    def failing(self, entries):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(number)
        append(self, entries)

    says = f"stopped by {name}: 16 of 24 scores are kept, the same command goes on from there"
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match=says) as caught:
        patch.setattr(score.Journal, "append", failing)
        score.run(folder, "bicubic", csv=Path("s.csv"))
    assert caught.value.status == 128 + number
    assert not Path("s.csv").exists()
    made, degrade = [], suite.degrade_suite
    monkeypatch.setattr(suite, "degrade_suite", lambda *a: made.append(a[3]) or degrade(*a))
    score.run(folder, "bicubic", csv=Path("s.csv"))
    assert made == ["c"]
    assert Path("s.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["Mine", "s.csv", "whole.csv"]


def test_a_run_that_keeps_nothing_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "degrade_suite", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted, match="stopped by Ctrl-C: nothing is kept; with --csv FILE"):
        score.run(folder, "bicubic")


def test_a_file_that_cannot_be_written_costs_the_others_nothing(folder: Path, capsys) -> None:
    with pytest.raises(UserError, match="^/dev/full: the disk is full: free space and run the same command again$"):
        score.run(folder, "bicubic", cases=["clean"], csv=Path("/dev/full"), as_json=Path("s.json"))
    assert len(json.loads(Path("s.json").read_text())["scores"]) == 3
    assert "bicubic ×4 on Mine" in capsys.readouterr().out


def test_files_are_there_whatever_becomes_of_the_terminal(folder: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from blindsr.cli import main; main()",
        "score",
        str(folder),
        "--model",
        "bicubic",
    ]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*command, "--csv", "s.csv", "--json", "s.json"], stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert len(rows("s.csv")) == len(json.loads(Path("s.json").read_text())["scores"]) == 24


def test_without_a_csv_nothing_is_written(folder: Path) -> None:
    score.run(folder, "bicubic", cases=["clean"])
    assert os.listdir() == ["Mine"]


def test_equal_images_are_infinite_in_csv_and_in_no_mean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in folder.iterdir():
        images.write_png(path, np.full((32, 32, 3), 77, np.uint8))
    score.run(folder, "bicubic", cases=["clean"], csv=Path("s.csv"), as_json=Path("s.json"))
    assert {row["psnr_db"] for row in rows("s.csv")} == {"inf"}
    assert math.isinf(benchmarks.read_csv(Path("s.csv"))[0].values["psnr_db"])
    report = json.loads(Path("s.json").read_text())
    assert (report["means"]["psnr_db"], report["restored_exactly"]) == ({}, 3)  # of nothing that is finite
    printed = capsys.readouterr().out
    assert "left out of the means: 3 of 3 scores" in printed
    assert "inf" not in printed.split("left out")[0]


def test_another_scale(folder: Path) -> None:
    score.run(folder, "bicubic", scale=2, cases=["clean"], csv=Path("s.csv"))
    hr = images.read_rgb(folder / "a.png")
    sr = images.bicubic_upscale(images.bicubic_downscale(hr, 2), 2)
    assert float(rows("s.csv")[0]["psnr_db"]) == pytest.approx(psnr(sr, hr, crop_border=2), abs=0.01)


def test_the_command_line_ends_with_one_line_and_a_status(folder: Path) -> None:
    runner = CliRunner()
    fine = runner.invoke(app, ["score", str(folder), "--model", "bicubic", "--cases", "clean, blur", "--tile", "16"])
    assert fine.exit_code == 0, fine.output
    assert "bicubic ×4 on Mine, mean of 3 images" in fine.output
    for arguments, says in (
        (["--model", "net.pth"], "net.pth: no such file"),
        (["--model", "bicubic", "--tile", "big"], "--tile big: give LR pixels, auto or none"),
    ):
        failed = runner.invoke(app, ["score", str(folder), *arguments])
        assert isinstance(failed.exception, UserError)
        assert says in str(failed.exception)


def test_a_network_of_the_users_own(folder: Path) -> None:
    """Nearest-neighbour upsampling as TorchScript."""
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.script(torch.nn.Upsample(scale_factor=4.0)).save("nearest.pt")
    score.run(folder, "nearest.pt", cases=["clean"], csv=Path("s.csv"))
    hr = images.read_rgb(folder / "a.png")
    sr = images.bicubic_downscale(hr, 4).repeat(4, 0).repeat(4, 1)
    assert float(rows("s.csv")[0]["psnr_db"]) == pytest.approx(psnr(sr, hr), abs=1e-6)


def test_lpips_is_the_metrics_with_the_trunk_given(folder: Path, real_data: Path) -> None:
    trunk = real_data / "weights" / "alexnet_features.pth"
    score.run(folder, "bicubic", cases=["clean"], metrics=["lpips"], lpips_trunk=trunk, csv=Path("s.csv"))
    hr = images.read_rgb(folder / "a.png")
    sr = images.bicubic_upscale(images.bicubic_downscale(hr, 4), 4)
    assert float(rows("s.csv")[0]["lpips"]) == pytest.approx(load_lpips(trunk)(sr, hr), abs=1e-3)


@pytest.mark.parametrize("benchmark", ["Set5", "Set14"])  # BSD100 takes minutes: data/test_suite.py has its PSNR
def test_bicubic_on_the_real_benchmarks_is_that_of_the_map(benchmark: str, real_data: Path, tmp_path: Path) -> None:
    """Within 0.02 dB, or 0.05 where noise is drawn, of figures that are rounded to 0.01 themselves."""
    with contextlib.chdir(tmp_path):
        metrics = ["psnr_db", "psnr_y_db"]
        score.run(real_data / "benchmarks" / benchmark, "bicubic", metrics=metrics, csv=Path("s.csv"))
        scores = benchmarks.read_csv(Path("s.csv"))
    means = benchmarks.means(scores)
    for (case, settings), known in zip(suite.PAPER.cases.items(), KNOWN[benchmark], strict=True):
        tolerance = 0.05 if settings.noise_sigma else 0.02
        assert abs(round(means[f"psnr_db/{benchmark}/{case}"], 2) - known) <= tolerance + 1e-9, case
    luma = np.mean([one.values["psnr_y_db"] for one in scores if one.key.case == "clean"])
    assert luma == pytest.approx(KNOWN_Y[benchmark], abs=0.02)


@pytest.mark.parametrize("benchmark", KNOWN_LPIPS)
def test_lpips_of_bicubic_on_the_real_benchmarks_is_that_of_the_map(
    benchmark: str, real_data: Path, tmp_path: Path
) -> None:
    with contextlib.chdir(tmp_path):
        trunk = real_data / "weights" / "alexnet_features.pth"
        options = {"cases": ["clean"], "metrics": ["lpips"], "lpips_trunk": trunk, "csv": Path("s.csv")}
        score.run(real_data / "benchmarks" / benchmark, "bicubic", **options)
        found = [one.values["lpips"] for one in benchmarks.read_csv(Path("s.csv"))]
    assert np.mean(found) == pytest.approx(KNOWN_LPIPS[benchmark], abs=1e-4)


def test_pipes_and_postscript_are_named_and_names_that_are_no_text_are_scored(folder: Path, capsys) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n")
    os.rename(folder / "c.png", os.fsencode(folder) + b"/caf\xe9.png")
    (folder / "b.png").rename(folder / "NA.png")
    with pytest.raises(UserError, match="2 of 5 scores are missing: 2 problems"):
        score.run(folder, "bicubic", cases=["clean"], csv=Path("s.csv"), as_json=Path("s.json"))
    shown = capsys.readouterr().err
    assert all(says in shown for says in ("pipe.png (it is a pipe or a device", "script.png is not an image"))
    for found in (rows("s.csv"), json.loads(Path("s.json").read_text())["scores"]):
        assert [row["image"] for row in found] == ["NA", "a", "caf\\xe9"]
