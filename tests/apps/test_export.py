"""What is exported loads elsewhere, computes the same, and says what it is."""

import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import safetensors
import torch
from torch import nn

from blindsr.apps import export
from blindsr.config import params
from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
HYPER = {
    "srresnet": {"num_blocks": 1, "num_features": 4},
    "rrdb": {"num_blocks": 1, "num_features": 8, "growth": 4},
    "msrn": {"num_blocks": 1, "num_features": 4},
    "swinir": {"depths": [2], "dim": 12, "num_heads": [2], "window_size": 8},
}
SIZES = ((1, 7, 11), (2, 33, 50), (1, 16, 24))

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(backbone: str, hyper: dict | None = None, iterations: int = 1) -> tuple[str, nn.Module]:
    """The name of a run in models/, and its network."""
    torch.manual_seed(0)
    hyper = hyper or HYPER[backbone]
    info = WeightsInfo(
        backbone=backbone,
        hyper=hyper,
        scale=4,
        regularizer="rff",
        seed=0,
        iterations=iterations,
        run="f00d" * 4,
    )
    network = architecture.build_backbone(backbone, hyper, 4).eval()
    weight_files.save(network, info, paths.MODELS / f"{backbone}-rff-0.safetensors")
    return f"{backbone}-rff-0", network


def same(call, network: nn.Module) -> None:
    for batch, height, width in SIZES:
        lr = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height))
        with torch.inference_mode():
            torch.testing.assert_close(call(lr), network(lr), rtol=0, atol=1e-4)


@pytest.mark.parametrize("backbone", HYPER)
def test_onnx_takes_any_size(backbone):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    name, network = trained(backbone)
    export.run(name, "onnx")
    session = onnxruntime.InferenceSession(f"exports/{name}/{name}.onnx", providers=["CPUExecutionProvider"])
    same(lambda lr: torch.from_numpy(session.run(["sr"], {"lr": lr.numpy()})[0]), network)
    metadata = json.loads(session.get_modelmeta().custom_metadata_map[weight_files.KEY])
    assert metadata["hyper"] == HYPER[backbone]


def test_onnx_of_the_other_swinir():
    pytest.importorskip("onnx")
    name, _ = trained("swinir", {**HYPER["swinir"], "upsampler": "pixelshuffle"})
    export.run(name, "onnx")
    assert Path(f"exports/{name}/{name}.onnx").stat().st_size > 10_000


@pytest.mark.parametrize("backbone", HYPER)
def test_torchscript_runs_without_this_project(backbone):
    name, network = trained(backbone)
    export.run(name, "torchscript")
    extra = {"metadata.json": ""}
    script = torch.jit.load(f"exports/{name}/{name}.pt", _extra_files=extra)
    same(script, network)
    assert json.loads(extra["metadata.json"])["backbone"] == backbone


def test_safetensors_say_what_they_are(monkeypatch):
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    (Path("conf")).symlink_to(ROOT / "conf")
    settings = params.read()
    hyper = settings.backbone.hyper["srresnet"]
    name, network = trained("srresnet", hyper, settings.train.iterations)
    rows = [Score(Key("Toy", case, image), {"psnr_db": psnr})
            for case, image, psnr in (("clean", "a", 30.0), ("clean", "b", 31.0), ("b+n", "a", 20.0))]  # fmt: skip
    benchmarks.write_csv(rows, ["psnr_db"], paths.SCORES / f"{name}.csv")
    other = [row._replace(values={"psnr_db": 19.126}) for row in rows]
    benchmarks.write_csv(other, ["psnr_db"], paths.SCORES / "bicubic.csv")
    export.run(name, "safetensors", Path("out/net.safetensors"))
    with safetensors.safe_open("out/net.safetensors", "pt") as file:
        metadata = json.loads(file.metadata()[weight_files.KEY])
        assert set(file.keys()) == set(network.state_dict())
    assert metadata["architecture"] == "MSRResNet (SRResNet)"
    assert metadata["hyper"] == hyper
    assert (metadata["scale"], metadata["profile"], metadata["run"]) == (4, settings.profile, "f00d" * 4)
    assert metadata["psnr_db"] == {"Toy": {"clean": 30.5, "b+n": 20.0}}
    assert "git_revision" in metadata
    loaded, info = weight_files.load(Path("out/net.safetensors"))
    same(loaded, network)
    assert info.iterations == settings.train.iterations

    card = Path("out/net.md").read_text()
    assert (
        "| Toy | clean | b+n |\n|---|---|---|\n| srresnet-rff-0 | 30.50 | 20.00 |\n| bicubic | 19.13 | 19.13 |"
        in card
    )
    assert f"Profile `{settings.profile}`" in card
    assert "blindsr upscale photos/ --model net.safetensors" in card
    assert not re.search(r"\{[{%]|\bNone\b| $", card, re.MULTILINE)


def test_a_card_without_settings_or_scores_says_so():
    name, _ = trained("rrdb", {"num_blocks": 1, "num_features": 8, "growth": 32})
    export.run(name, "safetensors")
    card = Path(f"exports/{name}/README.md").read_text()
    assert "Not evaluated." in card
    assert "not those of this training" in card
    assert "spandrel" in card
    assert not re.search(r"\{[{%]|\bNone\b| $", card, re.MULTILINE)


@pytest.mark.parametrize(
    ("backbone", "hyper", "architecture"),
    [
        ("rrdb", {"num_blocks": 2, "num_features": 16, "growth": 32}, "ESRGAN"),
        ("swinir", {"depths": [2, 2], "dim": 12, "num_heads": [2, 2]}, "SwinIR"),
        ("swinir", {"depths": [2, 2], "dim": 12, "num_heads": [2, 2], "upsampler": "pixelshuffle"}, "SwinIR"),
    ],
)
def test_rrdb_and_swinir_load_in_spandrel(spandrel, backbone, hyper, architecture):
    name, network = trained(backbone, hyper)
    export.run(name, "safetensors")
    model = spandrel.ModelLoader(device="cpu").load_from_file(f"exports/{name}/{name}.safetensors")
    assert model.architecture.name == architecture
    assert model.scale == 4
    lr = torch.rand(1, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(model(lr), network(lr).clamp(0, 1), rtol=0, atol=1e-5)


def test_an_export_that_differs_is_not_written(monkeypatch):
    class Fixed(nn.Module):
        """What a trace makes of a size that it takes for a constant."""

        def forward(self, lr):
            return lr.repeat_interleave(4, 2).repeat_interleave(4, 3) * (1 if lr.shape[2] == 19 else 0)

    name, _ = trained("srresnet")
    info = weight_files.load(paths.MODELS / f"{name}.safetensors")[1]
    monkeypatch.setattr(weight_files, "load", lambda path, trust=False: (Fixed(), info))
    for format in ("torchscript", "onnx"):
        if format == "torchscript" or importlib.util.find_spec("onnx"):
            with pytest.raises(UserError, match="the export differs from the network by"):
                export.run(name, format)
    assert not Path("exports").exists()


def test_without_onnx_the_mend_is_named(monkeypatch):
    name, _ = trained("srresnet")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"ONNX needs the onnx package: pip install"):
        export.run(name, "onnx")


@pytest.mark.parametrize(
    ("name", "to", "says"),
    [
        ("srresnet-rff-0", "pickle", "unknown format pickle: choose from safetensors, onnx, torchscript"),
        ("srresnet-none-7", "onnx", r"not a trained run in models/: did you mean srresnet-rff-0"),
    ],
)
def test_wrong_arguments_are_one_line(name, to, says):
    trained("srresnet")
    with pytest.raises(UserError, match=says):
        export.run(name, to)


def test_networks_of_others_and_files_that_are_none_are_one_line(tmp_path):
    _, backbone = trained("srresnet")
    torch.save(backbone.state_dict(), tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"net\.pth was not written by a training of this project, or was"):
        export.run(str(tmp_path / "net.pth"), "onnx")
    (tmp_path / "page.pth").write_text("<!doctype html>")
    with pytest.raises(UserError, match=r"page\.pth is a web page"):
        export.run(str(tmp_path / "page.pth"), "onnx")
    with pytest.raises(UserError, match="is not a regular file"):
        export.run(str(tmp_path), "onnx")


def test_a_file_of_ones_own_leaves_the_readme_beside_it_alone():
    name, _ = trained("srresnet")
    Path("README.md").write_text("mine")
    export.run(name, "onnx", Path("net.onnx"))
    assert Path("README.md").read_text() == "mine"
    assert "# srresnet-rff-0" in Path("net.md").read_text()
    with pytest.raises(UserError, match=r"net\.onnx would hold torchscript: end its name in \.pt"):
        export.run(name, "torchscript", Path("net.onnx"))
