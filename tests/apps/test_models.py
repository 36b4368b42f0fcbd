"""One resolver for all apps: a run by its name, bicubic, a file; a scale that is asked for; names that are none."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from blindsr.apps import export, models, score, suite
from blindsr.apps.photos import upscale
from blindsr.config import conf
from blindsr.data import images
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
HYPER = {"num_blocks": 1, "num_features": 4}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the weights of one run, for ×3, and one HR image; outside of a project's settings."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    info = WeightsInfo(backbone="srresnet", hyper=HYPER, scale=3, regularizer="rff", seed=0, iterations=1, run="x")
    network = architecture.build_backbone("srresnet", HYPER, 3)
    weight_files.save(network, info, paths.MODELS / "srresnet-rff-0.safetensors")
    (tmp_path / "hr").mkdir()
    hr = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    images.write_png(tmp_path / "hr" / "a.png", images.bicubic_upscale(hr, 6))
    return tmp_path


def project(scale: int) -> None:
    """Settings of that scale in the working directory."""
    settings = conf.compose(ROOT / "conf", [f"scale={scale}", "train.crop=60", "train.window=120"])
    Path("params.yaml").write_text(yaml.safe_dump(settings))


@pytest.mark.parametrize("model", ["srresnet-rff-0", "models/srresnet-rff-0.safetensors"])
def test_a_run_and_its_file_are_one_network_of_its_own_scale(model: str) -> None:
    found = models.read(model)
    assert (found.scale, found.path) == (3, paths.MODELS / "srresnet-rff-0.safetensors")
    assert not found.network.training
    assert found.network(torch.zeros(1, 3, 5, 4)).shape == (1, 3, 15, 12)
    assert models.read(model, 3).scale == 3
    with pytest.raises(UserError, match="upscales by 3, not by 4: give --scale 3"):
        models.read(model, 4)


def test_bicubic_has_the_scale_asked_for_or_the_projects_or_4() -> None:
    assert (models.read("bicubic").scale, models.read("bicubic", 2).scale) == (4, 2)
    project(2)
    assert models.read("bicubic").scale == 2
    assert models.read("bicubic", 3).scale == 3
    assert models.locate("bicubic") is None


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            "srresnet-rf-0",
            "srresnet-rf-0 is not a file, and not a trained run in models/: did you mean srresnet",
        ),
        ("bicubik", "did you mean bicubic"),
        ("qqq", r"not a trained run in models/ \(srresnet-rff-0\)$"),
        ("qqq.pth", "qqq.pth: no such file"),
        ("models/qqq", "models/qqq: no such file"),
    ],
)
def test_an_unknown_name_is_one_line_in_every_app(model: str, says: str) -> None:
    for call in (
        lambda: score.run(Path("hr"), model),
        lambda: upscale.run(["hr"], model),
        lambda: export.run(model, "safetensors"),
    ):
        with pytest.raises(UserError, match=says):
            call()


def test_without_any_trained_run_that_is_said() -> None:
    (paths.MODELS / "srresnet-rff-0.safetensors").unlink()
    with pytest.raises(UserError, match=r"not a trained run in /.*models \(none is there\): give a file, or go to"):
        models.locate("srresnet-rff-0")


def test_score_takes_a_run_by_its_name_as_upscale_does() -> None:
    """The scores of the name and of the file are the same, and so is a photo."""
    for number, model in enumerate(("srresnet-rff-0", "models/srresnet-rff-0.safetensors")):
        score.run(Path("hr"), model, cases=["clean"], csv=Path(f"{number}.csv"))
        upscale.run(["hr/a.png"], model, out=Path(f"{number}.png"))
    assert Path("0.csv").read_bytes() == Path("1.csv").read_bytes()
    assert np.array_equal(images.read_rgb("0.png"), images.read_rgb("1.png"))
    assert images.read_rgb("0.png").shape == (144, 144, 3)
    with pytest.raises(UserError, match="upscales by 3, not by 2"):
        score.run(Path("hr"), "srresnet-rff-0", scale=2)


def test_upscale_and_suite_take_a_scale_or_that_of_the_project() -> None:
    upscale.run(["hr/a.png"], "bicubic", scale=2)
    assert images.read_rgb("hr/a_x2.png").shape == (96, 96, 3)
    Path("hr/a_x2.png").unlink()
    project(3)
    suite.write(Path("hr"), Path("lr"), cases=["clean"])
    assert images.read_rgb("lr/clean/a.png").shape == (16, 16, 3)
    suite.write(Path("hr"), Path("half"), cases=["clean"], scale=2)
    assert images.read_rgb("half/clean/a.png").shape == (24, 24, 3)


def test_a_file_of_weights_is_exported_under_its_name_and_without_scores_of_a_run_of_that_name() -> None:
    Path("mine").mkdir()
    (paths.MODELS / "srresnet-rff-0.safetensors").rename("mine/srresnet-rff-0.safetensors")
    paths.SCORES.mkdir(parents=True)
    (paths.SCORES / "srresnet-rff-0.csv").write_text(
        "benchmark,case,image,psnr_db,psnr_y_db,ssim,lpips\nT,clean,a,1,1,1,\n"
    )
    export.run("mine/srresnet-rff-0.safetensors", "safetensors")
    assert "Not evaluated." in Path("exports/srresnet-rff-0/README.md").read_text()
    with pytest.raises(UserError, match="bicubic has no weights to export"):
        export.run("bicubic", "safetensors")
