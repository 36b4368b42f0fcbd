"""A metric of one's own is a new file and a conf entry: it is in the scores, the tables, the page and the command."""

import contextlib
import json
import re
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import synthetic_grid
from blindsr.cli import app
from blindsr.config import conf, params
from blindsr.config.params import Params
from blindsr.config.run import BICUBIC, CONTROLS, Run
from blindsr.data import images, suite
from blindsr.data.indices import Index, IndexedImage
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.plugins import metrics
from blindsr.runtime import files, paths
from blindsr.stages import evaluate, report

RUN = Run("srresnet", "none", 0)
NAMES = ("image000", "image001")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Two images, bicubic and a network, in a project whose settings name the new metric."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(evaluate.tracking, "open_run", lambda *_: contextlib.nullcontext(Mock()))
    monkeypatch.setattr(report, "publish", lambda _: None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mae_gain.py").write_text(printed("mae_gain.py"))
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path / "mine")])
    names = "evaluate.metrics=[psnr_db,mae_gain,lpips]"
    composed = conf.compose(synthetic_grid.ROOT / "conf", ["reg=none", names, "data.lpips_trunk=null"])
    composed["data"]["benchmarks"] = ["Toy"]
    composed["suite"]["cases"] = {case: composed["suite"]["cases"][case] for case in ("clean", "b+n+j")}
    parsed = params.parse(composed)
    synthetic_grid.write(paths.REPORTS, paths.INDEX, parsed, {"Toy": len(NAMES)})
    entries = []
    for seed, name in enumerate(NAMES):
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
        hr = images.bicubic_upscale(coarse, 8)
        write(paths.RAW / "Toy" / f"{name}.png", hr)
        for case, lr in suite.degrade_suite(hr, parsed.suite, "Toy", name).items():
            write(paths.LR / "Toy" / case / f"{name}.png", lr)
        digest = files.sha256(paths.RAW / "Toy" / f"{name}.png")
        entries.append(IndexedImage(name=name, file=f"{name}.png", width=40, height=48, sha256=digest))
    Index(name="Toy", images=entries).write(paths.INDEX)
    hyper = parsed.backbone.hyper["srresnet"]
    info = WeightsInfo(backbone="srresnet", hyper=hyper, scale=4, regularizer="none", seed=0, iterations=1, run="x")
    weight_files.save(architecture.build_backbone("srresnet", hyper, 4), info, paths.MODELS / f"{RUN}.safetensors")
    return parsed


def printed(name: str) -> str:
    """The file that CONTRIBUTING.md prints, word for word."""
    text = (synthetic_grid.ROOT / "CONTRIBUTING.md").read_text()
    return text.split(f"/{name}`:\n\n```python\n")[1].split("```")[0]


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, image)


def expected(name: str, case: str) -> float:
    """The metric of bicubic's image, by hand."""
    hr, lr = (
        images.read_rgb(paths.RAW / "Toy" / f"{name}.png"),
        images.read_rgb(paths.LR / "Toy" / case / f"{name}.png"),
    )
    inside = np.s_[4:-4, 4:-4]
    errors = [
        np.abs(image[inside].astype(int) - hr[inside].astype(int)).mean()
        for image in (np.kron(lr, np.ones((4, 4, 1), np.uint8)), images.bicubic_upscale(lr, 4))
    ]
    return float(errors[0] - errors[1])


def test_from_a_file_to_the_page(settings: Params) -> None:
    for run in (*map(Run.control, CONTROLS), RUN):
        evaluate.run(settings, run)
    scored = pd.read_csv(paths.SCORES / f"{BICUBIC}.csv").set_index(["image", "case"])
    assert list(scored) == ["benchmark", "psnr_db", "mae_gain", "lpips"]
    hand = {(name, case): expected(name, case) for name in NAMES for case in settings.suite.cases}
    assert scored["mae_gain"].to_dict() == pytest.approx(hand, abs=0.02)  # the network rounds once more than Pillow
    assert min(hand.values()) > 1

    report.run(settings)
    table = pd.read_csv(paths.TABLES / "mae_gain.csv", dtype=str).set_index("reg")
    mean = {case: scored["mae_gain"].xs(case, level="case").mean() for case in settings.suite.cases}
    assert table.loc[BICUBIC, list(mean)].to_dict() == {case: f"{value:.1f}" for case, value in mean.items()}
    assert (paths.TABLES / "mae_gain.md").read_text().startswith("# mae_gain, x4 (profile embedded")
    assert not (paths.TABLES / "ssim.md").exists()
    assert "lpips has no trunk weights" in (paths.TABLES / "lpips.md").read_text()
    assert "trunk" not in (paths.TABLES / "mae_gain.md").read_text()
    summary = json.loads(paths.METRICS.read_text())
    assert summary[BICUBIC]["mae_gain"]["clean"] == pytest.approx(mean["clean"], abs=1e-4)
    assert set(summary["srresnet-none"]) == {"psnr_db", "mae_gain"}

    page = re.search(r'id="data-scores">(.*?)</script>', paths.PAGE.read_text(), re.DOTALL)
    assert page
    payload = json.loads(page[1])
    assert list(payload["metrics"]) == ["psnr_db", "mae_gain"]
    assert payload["metrics"]["mae_gain"] == {"label": "MAE gain (levels)", "decimals": 1, "higher_is_better": True}
    shown = payload["values"]["mae_gain"][BICUBIC]["Toy"]["b+n+j"]
    assert shown == [round(scored.loc[(name, "b+n+j"), "mae_gain"], 2) for name in NAMES]


@pytest.mark.usefixtures("settings")
def test_on_the_command_line() -> None:
    folder = str(paths.RAW / "Toy")
    command = ["score", folder, "--model", "bicubic", "--cases", "clean", "--csv", "s.csv", "--json", "s.json"]
    done = CliRunner().invoke(app, [*command, "--metrics", "ssim,mae_gain"])
    assert done.exit_code == 0, done.output
    found = pd.read_csv("s.csv")
    assert list(found) == ["benchmark", "case", "image", "ssim", "mae_gain"]
    assert found["mae_gain"].tolist() == pytest.approx([expected(name, "clean") for name in NAMES], abs=0.02)
    mean = found["mae_gain"].mean()
    assert re.search(rf"clean │ +0\.\d{{4}} │ +{mean:.1f} ", done.output), done.output
    assert json.loads(Path("s.json").read_text())["means"]["mae_gain"]["clean"] == pytest.approx(mean, abs=1e-5)
