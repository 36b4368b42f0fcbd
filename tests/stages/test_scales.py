"""×2 and ×3 from images to the page, stage by stage on a tiny project that has a set of real pairs, too."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pyiqa_stand_in
from blindsr.config import conf, params
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.data import images
from blindsr.evaluation import benchmarks
from blindsr.model import weight_files
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.plugins.metrics.psnr_shift_db import psnr_best_shift
from blindsr.runtime import paths, tracking
from blindsr.stages import analyse, degrade, evaluate, fetch, gallery, patches, report, train

ROOT = Path(__file__).resolve().parents[2]
CASES = ["clean", "noise"]


def scene(number: int, height: int, width: int) -> images.RGB:
    """Smooth noise: something that bicubic upsampling does not restore exactly."""
    coarse = np.random.default_rng(number).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return images.bicubic_upscale(coarse, 4)


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Params]:
    """Settings of a tiny network at the scale, and images: to train on, two to test on, two real pairs, and a photo.

    One of the metrics, which needs no HR image, is of a package of others.
    """
    scale = request.param
    monkeypatch.chdir(tmp_path)
    for variable in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "RANK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DVC_EXP_NAME", "a-test")
    monkeypatch.setattr(tracking, "_open", lambda *arguments: tracking.Run(None, ""))
    monkeypatch.setattr(report, "publish", lambda *arguments: None)
    monkeypatch.setattr(report.all_figures, "draw", lambda *arguments: [])  # they know no scale, and take long
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifests").symlink_to(ROOT / "data" / "manifests")
    for folder, number, height, width in (("train", 0, 128, 144), ("test", 1, 68, 76), ("test", 2, 80, 68)):
        write(tmp_path / folder / f"{number}.png", scene(number, height, width))
    for number in (3, 4):
        hr = images.mod_crop(scene(number, 100, 108), scale)
        write(tmp_path / "pairs" / "HR" / f"{number}.png", hr)
        write(tmp_path / "pairs" / "LR" / f"{number}.png", images.bicubic_downscale(hr, scale))
    write(tmp_path / "photos" / "street.png", np.full((20, 24, 3), 51, np.uint8))
    crop, window = {2: (32, 80), 3: (33, 81)}[scale]
    settings: dict[str, Any] = conf.compose(ROOT / "conf", [
        f"scale={scale}", "reg=rff", f"train.crop={crop}", f"train.window={window}", "train.iterations=2",
        "train.batch=2", "train.log_every=2", "train.validation.every=2", "train.validation.windows=1",
        "patches.size=96", "patches.step=96", "runtime.workers=0", "runtime.device=cpu", "gallery.crop=32",
        "evaluate.max_shift=4",
        "analyse.crop=8", "analyse.contents=4", "analyse.interaction.crops=1", "analyse.interaction.contexts=2",
    ])  # fmt: skip
    settings["backbone"]["hyper"]["srresnet"] = {"num_blocks": 1, "num_features": 4}
    settings["reg"]["names"] = ["none", "rff"]
    settings["reg"]["settings"]["none"] = {"weight": 0.0, "hyper": {}}
    settings["suite"]["cases"] = {name: settings["suite"]["cases"][name] for name in CASES}
    own = ("train", "test", "pairs", "photos")
    settings["data"] |= {"train": "own_train", "lpips_trunk": None}
    settings["data"]["benchmarks"] = ["own_test", "own_pairs", "NTIRE2018_mild", "own_photos"]
    settings["data"]["roots"] = {f"own_{name}": name for name in own}
    settings["evaluate"]["metrics"].append("pyiqa_light_a_plus")
    with pyiqa_stand_in.installed(tmp_path, monkeypatch):
        yield params.parse(settings)


def write(path: Path, image: images.RGB) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, image)


def scores(name: str) -> list[dict[str, str]]:
    with (paths.SCORES / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize("project", [2, 3], indirect=True)
def test_a_grid_is_trained_scored_and_reported_at_another_scale_than_the_papers(project: Params) -> None:
    scale = project.scale
    fetch.run(project)
    patches.run(project)
    degrade.run(project)
    for run in project.runs:
        train.run(project, run)
    for run in project.scored:
        evaluate.run(project, run)
    for run in project.analysed:
        analyse.run(project, run)
    gallery.run(project)
    report.run(project)

    # networks and images of the scale
    network, info = weight_files.load(paths.MODELS / "srresnet-rff-0.safetensors")
    assert (network.scale, info.scale) == (scale, scale)
    assert images.read_rgb(paths.LR / "own_test" / "clean" / "1.png").shape == (68 // scale, 76 // scale, 3)

    # scores: the suite's, and the pairs' with a shift beside the plain PSNR
    rows = {(row["benchmark"], row["case"], row["image"]): row for row in scores("bicubic")}
    assert len(rows) == 2 * len(CASES) + 2 + 1
    hr = images.mod_crop(images.read_rgb("pairs/HR/3.png"), scale)
    sr = images.bicubic_upscale(images.read_rgb("pairs/LR/3.png"), scale)
    own = rows["own_pairs", "real", "LR-3"]
    assert float(own["psnr_db"]) == pytest.approx(psnr(sr, hr, scale), abs=0.01)  # the border is the scale
    best = psnr_best_shift(sr, hr, project.evaluate.max_shift, scale)[0]
    assert float(own["psnr_shift_db"]) == pytest.approx(best, abs=0.01)
    assert rows["own_test", "clean", "1"]["psnr_shift_db"] == ""
    alone = rows["own_photos", "real", "street"]  # of one colour, which bicubic upsampling keeps
    assert {name: value for name, value in alone.items() if value} == {
        "benchmark": "own_photos", "case": "real", "image": "street", "pyiqa_light_a_plus": "0.200000"
    }  # fmt: skip

    # tables: ours, in names and titles of this scale; none of the paper's, whose numbers are for ×4, and why
    tables = {path.stem for path in paths.TABLES.glob("*.csv")}
    assert {"psnr_db", "differences", "improvement_psnr_db", "real_lr", "training_cost"} <= tables
    assert not {"table1_small", "table1_other", "dropout", "ablation", "table2_lpips", "figure6_average"} & tables
    table = pd.read_csv(paths.TABLES / "psnr_db.csv").set_index(["benchmark", "backbone", "reg"])
    means = [float(row["psnr_db"]) for key, row in rows.items() if key[:2] == ("own_test", "clean")]
    assert table.loc[("own_test", "bicubic", "bicubic"), "clean"] == pytest.approx(np.mean(means), abs=0.006)
    real = pd.read_csv(paths.TABLES / "real_lr.csv").set_index(["benchmark", "backbone", "reg"])
    assert real.loc[("own_pairs", "srresnet", "rff"), ["psnr_db", "psnr_shift_db", "ssim"]].notna().all()
    photo = real.loc[("own_photos", "bicubic", "bicubic")]
    assert photo["pyiqa_light_a_plus"] == 0.2
    assert photo.notna().sum() == 1
    text = (paths.TABLES / "psnr_db.md").read_text()
    assert text.startswith(f"# psnr_db, x{scale} (profile embedded, ×{scale}, 2 iterations")
    assert "The tables of the paper are left out: its numbers are for ×4 alone." in text
    assert (
        "NTIRE2018_mild is missing: its LR images are for x4, and scale is"
        in (paths.TABLES / "real_lr.md").read_text()
    )
    assert (paths.TABLES / "verdicts.md").is_file()
    page = paths.PAGE.read_text()
    assert "the paper has no numbers for its scale" in page
    assert "stand beside it as a measure" not in page

    # pictures: windows of whole LR pixels
    entries = json.loads((paths.GALLERY / "index.json").read_text())
    side = 32 // scale * scale
    assert [entry["window"][2:] for entry in entries] == [[side, side]] * 2
    assert images.read_rgb(paths.REPORTS / entries[0]["cases"]["clean"]["lr"]).shape[:2] == (32 // scale, 32 // scale)
    assert [row.name for row in project.rows] == list(entries[0]["cases"]["clean"]["models"])


@pytest.mark.parametrize("project", [2], indirect=True)
def test_weights_of_another_scale_are_refused_in_one_line(project: Params) -> None:
    fetch.run(project)
    run = Run("srresnet", "none", 0)
    patches.run(project)
    train.run(project, run)
    with pytest.raises(benchmarks.UserError, match=r"srresnet-none-0\.safetensors upscales by 2, and scale is 4"):
        benchmarks.network_of(project.model_copy(update={"scale": 4}), run)
