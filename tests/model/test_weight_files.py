"""Weights on disk: the same bytes for the same weights, and what does not fit is one line."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from blindsr.config import conf, registry
from blindsr.config.run import UNTRAINED
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.plugins.backbones.base import Backbone
from blindsr.runtime import packages
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
REDUCED = {
    name: conf.compose(ROOT / "conf", [f"backbone={name}"])["backbone"]["hyper"][name]
    for name in registry.names("backbone")
    if name not in UNTRAINED and packages.installed({"spandrel": "spandrel"}.get(name, "torch"))
}
if "spandrel" in REDUCED:
    REDUCED["spandrel"] = {"architecture": "PLKSR", "dim": 8, "n_blocks": 2, "kernel_size": 5}


def info(backbone: str, regularizer: str = "none") -> WeightsInfo:
    return WeightsInfo(
        backbone=backbone, hyper=REDUCED[backbone], scale=4, regularizer=regularizer, seed=0, iterations=2, run="x"
    )


def build(backbone: str) -> Backbone:
    torch.manual_seed(0)
    return architecture.build_backbone(backbone, REDUCED[backbone], 4)


@pytest.mark.parametrize("backbone", REDUCED)
def test_the_same_weights_are_the_same_bytes(backbone: str, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        weight_files.save(build(backbone), info(backbone), tmp_path / name / "w.safetensors")
        digests.add(hashlib.sha256((tmp_path / name / "w.safetensors").read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("backbone", REDUCED)
def test_what_is_written_is_read_again(backbone: str, tmp_path: Path) -> None:
    network, path, lr = build(backbone).eval(), tmp_path / "w.safetensors", torch.rand(2, 3, 8, 8)
    weight_files.save(network, info(backbone), path)
    loaded, described = weight_files.load(path)
    assert described == info(backbone)
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(lr), network(lr))


def test_a_missing_damaged_or_foreign_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(UserError, match="is missing: run `dvc repro`"):
        weight_files.load(path)
    weight_files.save(build("srresnet"), info("srresnet"), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(UserError, match="holds no weights of this project"):
        weight_files.load(path)
    weight_files.save(build("srresnet"), info("rrdb"), path)
    with pytest.raises(UserError, match="does not fit rrdb"):
        weight_files.load(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state, about: (state, {"regularizer": "rff"}), "holds no weights of this project"),
        (lambda state, about: (state, about | {"backbone": "nope"}), "unknown backbone 'nope'"),
        (lambda state, about: (state, about | {"hyper": {"depth": 1}}), "has no setting 'depth'"),
        (lambda state, about: ({k: (9 * v).to(torch.int8) for k, v in state.items()}, about), "as int8: convert"),
        (lambda state, about: ({k: v[:1].contiguous() for k, v in state.items()}, about), "does not fit srresnet"),
        (lambda state, about: (dict(list(state.items())[1:]), about), "does not fit srresnet"),
    ],
    ids=["half a description", "backbone", "settings", "numbers", "shapes", "names"],
)
def test_weights_that_do_not_fit_their_description_are_one_line_with_the_file(
    tmp_path: Path, change: Callable[..., Any], says: str
) -> None:
    state, about = change(build("srresnet").state_dict(), info("srresnet").model_dump())
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(state, path, {weight_files.KEY: json.dumps(about)})
    with pytest.raises(UserError) as caught:
        weight_files.load(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    state = {name: value.half() for name, value in build("srresnet").state_dict().items()}
    about = {weight_files.KEY: json.dumps(info("srresnet").model_dump())}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors", about)
    loaded, _ = weight_files.load(tmp_path / "w.safetensors")
    assert all(torch.equal(value, state[name].float()) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("change", [{"num_blocks": 10**9}, {"num_features": 10**9}])
def test_a_file_that_lies_about_its_size_is_refused_before_anything_is_built(tmp_path: Path, change: dict) -> None:
    about = info("srresnet")
    lying = about.model_copy(update={"hyper": about.hyper | change})
    weight_files.save(build("srresnet"), lying, tmp_path / "net.safetensors")
    with pytest.raises(UserError, match="ask for more than it holds"):
        weight_files.load(tmp_path / "net.safetensors")


def test_settings_of_a_larger_network_than_the_weights_are_refused_while_it_is_built(tmp_path: Path) -> None:
    about = info("srresnet")
    lying = about.model_copy(update={"hyper": {"num_blocks": 256, "num_features": 4096}})
    metadata = {weight_files.KEY: json.dumps(lying.model_dump())}
    safetensors.torch.save_file({"long": torch.zeros(4096)}, tmp_path / "net.safetensors", metadata)
    with pytest.raises(UserError, match="net.safetensors .*more parameters than the 4096 numbers that are there"):
        weight_files.load(tmp_path / "net.safetensors")


def test_a_pipe_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.safetensors")
    with pytest.raises(UserError, match="net.safetensors holds no weights of this project .*pipe or a device"):
        weight_files.load(tmp_path / "net.safetensors")
