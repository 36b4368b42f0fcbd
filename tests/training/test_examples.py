"""The plug-ins that CONTRIBUTING.md prints, trained as they are printed: one file and a conf entry each."""

import importlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from blindsr.config import conf, params, registry
from blindsr.config.params import Params
from blindsr.data.patch_store import PatchStore
from blindsr.model.architecture import build_backbone
from blindsr.model.network import Network, build_regularizer
from blindsr.training import trainer
from blindsr.training.distributed import World
from blindsr.training.losses import build_losses
from blindsr.training.samples import Batches

ROOT = Path(__file__).resolve().parents[2]
TINY = ["train={iterations: 2, batch: 4, crop: 32, window: 80, log_every: 1, validation: {every: 0}}"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
# "... `path`" of a file, some words, and the block that it holds
_NAMED = r"`((?:src|conf)/[\w/]+\.\w+)`((?:(?!```|`src/|`conf/|\n## ).)*?)\n\n```\w+\n(.*?)```"
PRINTED = {path: text for path, _, text in re.findall(_NAMED, CONTRIBUTING, re.DOTALL)}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Params]:
    """`settings(names, *overrides)`: the settings of a project in which the printed files of these names lie."""

    def make(*names: str, overrides: tuple[str, ...] = ()) -> Params:
        shutil.copytree(ROOT / "conf", tmp_path / "conf")
        for path, text in PRINTED.items():
            if Path(path).stem in names:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_text(text)
        for kind in ("backbones", "degradations", "losses", "regularizers"):
            package = importlib.import_module(f"blindsr.plugins.{kind}")
            folder = tmp_path / "src" / "blindsr" / "plugins" / kind
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        return params.parse(conf.compose(tmp_path / "conf", [*TINY, *overrides]))

    return make


def train(chosen: Params, store: PatchStore, folder: Path) -> tuple[Network, list[dict[str, float]]]:
    """Two iterations of the first run of the settings."""
    backbone, reg = chosen.backbone.names[0], chosen.reg.names[0]
    regularizer = build_regularizer(reg, chosen.reg.settings[reg].hyper_for(backbone))
    network = Network(
        trainer.initialize(lambda: build_backbone(backbone, chosen.backbone.hyper[backbone], 4), 0), regularizer
    )
    degradation = registry.build("degradation", chosen.degradation.name, chosen.degradation.settings)
    curve = trainer.train(
        network,
        Batches(store, chosen.train, degradation, seed=0, views=network.views, scale=4),
        chosen.train,
        losses=build_losses(chosen.train),
        weight=chosen.reg.settings[reg].weight,
        seed=0,
        states=folder / "states",
        world=World(torch.device("cpu")),
        workers=0,
        checkpoint_every=100,
        log=lambda step, point: None,
    )
    return network, curve


def test_every_printed_plug_in_is_tried_here() -> None:
    """Or in tests/e2e, where what is printed is more than a plug-in."""
    here = {"deviation", "three_layers", "pixel_mask", "plain", "compact", "edges", "classical"}
    assert {Path(path).stem for path in PRINTED} - {"config", "catalog"} == here | {"mae_gain"}


@pytest.mark.parametrize("name", ["deviation", "three_layers"])
def test_penalties(name: str, settings: Any, store: PatchStore, tmp_path: Path) -> None:
    network, curve = train(settings(name, overrides=(f"reg={name}",)), store, tmp_path)
    assert network.views == 2
    assert all(point["penalty"] > 0 for point in curve)


def test_the_input_mask_hides_pixels_in_training_alone(settings: Any, store: PatchStore, tmp_path: Path) -> None:
    network, curve = train(settings("pixel_mask", overrides=("reg=pixel_mask",)), store, tmp_path)
    assert curve[0]["l1"] > train(settings_of_none(), store, tmp_path / "plain")[1][0]["l1"]
    lr = torch.rand(2, 3, 8, 8)
    assert torch.equal(network.eval().regularizer.change_input(lr, None), lr)


def settings_of_none() -> Params:
    return params.parse(conf.compose(ROOT / "conf", [*TINY, "reg=none"]))


def test_a_backbone_of_ones_own(settings: Any, store: PatchStore, tmp_path: Path) -> None:
    network, curve = train(settings("plain", overrides=("backbone=plain", "reg=rff")), store, tmp_path)
    assert sum(parameter.numel() for parameter in network.backbone.parameters()) == 158_979
    assert all(point["penalty"] > 0 for point in curve)


def test_a_backbone_of_a_library(spandrel: Any, settings: Any, store: PatchStore, tmp_path: Path) -> None:
    network, curve = train(settings("compact", overrides=("backbone=compact", "reg=rff")), store, tmp_path)
    assert type(network.backbone).__name__ == "SRVGGNetCompact"
    assert len(network.backbone.blocks) == 4
    assert all(point["penalty"] > 0 for point in curve)


def test_a_loss_beside_l1(settings: Any, store: PatchStore, tmp_path: Path) -> None:
    (entry,) = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(train:.*?)```", CONTRIBUTING, re.DOTALL))
    block = entry["train"]
    assert block["losses"].pop("l1") == 1.0  # as it is
    added = [f"+train.losses.{name}={weight}" for name, weight in block["losses"].items()]
    for name, values in block["loss_settings"].items():
        added += [f"+train.loss_settings.{name}.{key}={value}" for key, value in values.items()]
    chosen = settings("edges", overrides=("reg=none", *added))
    _, curve = train(chosen, store, tmp_path)
    assert all(0 < point["edges"] < point["l1"] for point in curve)


def test_a_degradation_of_ones_own(settings: Any, store: PatchStore, tmp_path: Path) -> None:
    chosen = settings("classical", overrides=("degradation=classical", "reg=none"))
    _, curve = train(chosen, store, tmp_path)
    assert chosen.degradation.settings == {"blur_sigma": [0.2, 4.0], "noise_sigma": [0.0, 25.0]}
    assert len(curve) == 2
