"""Which crops are looked at, the game of patches, and every file of one small run."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from blindsr.analysis import interaction
from blindsr.config import conf, params
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.data import images
from blindsr.data.pairs import Pair
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.plugins.backbones.base import Backbone
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError
from blindsr.stages import analyse

ROOT = Path(__file__).resolve().parents[2]
HYPER = {"num_blocks": 1, "num_features": 4}


@pytest.fixture(scope="module")
def settings() -> Params:
    """The embedded profile with a tiny network, two cases and eight crops of 8 px."""
    composed: dict[str, Any] = conf.compose(ROOT / "conf", ["reg=rff"])
    composed["backbone"]["hyper"]["srresnet"] = HYPER
    composed["suite"]["cases"] = {"clean": {}, "noise": {"noise_sigma": 20.0}}
    game = {"grid": 2, "crops": 6, "pairs": 1, "contexts": 2, "dropout_rates": [0.5]}
    composed["analyse"] |= {"crop": 8, "contents": 8, "images": 2, "interaction": game}
    return params.parse(composed)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    """Three images of 64 x 96 px under two cases; the third is more than `analyse.images`."""
    generator = np.random.default_rng(0)
    found = []
    for case in ("clean", "noise"):
        (tmp_path / case).mkdir()
        for name in ("a", "b", "c"):
            hr = generator.integers(0, 256, (64, 96, 3), dtype=np.uint8)
            lr = images.bicubic_downscale(hr, 4)
            images.write_png(tmp_path / f"{name}.png", hr)
            images.write_png(tmp_path / case / f"{name}.png", lr)
            found.append(Pair("Toy", case, name, tmp_path / f"{name}.png", tmp_path / case / f"{name}.png"))
    return found


def test_crops_take_turns_between_images_and_lie_inside(settings: Params, pairs: list[Pair]) -> None:
    contents = analyse.choose_contents(pairs, settings.analyse)
    assert [content.image for content in contents] == ["a", "b"] * 4
    corners = {(content.top, content.left) for content in contents if content.image == "a"}
    assert corners == {(2, 4), (2, 12), (6, 4), (6, 12)}  # quarters and three quarters of 16 - 8 and 24 - 8
    assert set(contents[0].lr) == {"clean", "noise"}


def test_an_image_smaller_than_a_crop_is_one_line(settings: Params, pairs: list[Pair]) -> None:
    larger = settings.analyse.model_copy(update={"crop": 20})
    with pytest.raises(UserError, match="Toy: the LR of a has 24×16 px, less than analyse.crop 20"):
        analyse.choose_contents(pairs, larger)


class Nearest(Backbone):
    """Repeats pixels."""

    def __init__(self) -> None:
        super().__init__(4)
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, lr: Tensor) -> Tensor:
        return self.gain * self.values(lr)

    def values(self, lr: Tensor) -> Tensor:
        return lr.repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_absent_patches_show_the_mean_colour() -> None:
    crop = torch.zeros(3, 4, 4)
    crop[:, :2, :2] = torch.tensor([0.4, 0.8, 0.0])[:, None, None]
    sr = analyse._game(Nearest(), crop, 2)(np.array([[True, False, False, False], [False] * 4, [True] * 4]))
    sr = sr.reshape(3, 3, 16, 16) / 255
    mean = np.array([0.1, 0.2, 0.0])
    np.testing.assert_allclose(sr[0, :, 0, 0], [0.4, 0.8, 0.0], atol=1e-6)
    np.testing.assert_allclose(sr[0, :, 15, 15], mean, atol=1e-6)
    np.testing.assert_allclose(sr[1, :, 0, 0], mean, atol=1e-6)
    np.testing.assert_allclose(sr[2, :, 15, 15], 0, atol=1e-6)


class Contrast(Nearest):
    """Every pixel is the fourth power of the image's mean square: patches count for more where others are."""

    def values(self, lr: Tensor) -> Tensor:
        value = lr.square().mean((1, 2, 3), keepdim=True) ** 4
        return value.expand(-1, 3, lr.shape[2] * 4, lr.shape[3] * 4)


def test_dropout_weakens_the_interactions_of_a_network_as_the_lemma_predicts() -> None:
    """A checkerboard of ±1: of 16 patches n present give (n / 16)⁴, and Δf is its second difference."""
    crop = torch.where((torch.arange(8)[:, None] + torch.arange(8)[None]) % 2 == 0, 1.0, -1.0).expand(3, 8, 8)
    game = analyse._game(Contrast(), crop, 4)
    present = np.arange(15)
    second = ((present + 2) ** 4 - 2.0 * (present + 1) ** 4 + present**4) / 16**4
    generator = np.random.default_rng(0)
    strengths = []
    for rate in (0.0, 0.3, 0.5, 0.7):
        contexts = interaction.draw_contexts(16, (5, 6), 14, rate, 1000, generator)
        effects = interaction.effects(game, (5, 6), contexts.present)
        strengths.append(np.sqrt(interaction.squared_strength(effects, contexts.complete)) / 255)
        expected = (stats.binom.pmf(present, 14, 1 - rate) * second).sum()
        assert strengths[-1] == pytest.approx(expected, rel=1e-5 if rate == 0 else 0.05)
    assert (np.diff(strengths) < 0).all()
    assert strengths[-1] < 0.3 * strengths[0]


@pytest.mark.needs("sklearn")
def test_every_file_of_a_run(
    settings: Params, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(analyse.pairs, "all_pairs", lambda _: pairs)
    torch.manual_seed(0)
    backbone = architecture.build_backbone("srresnet", HYPER, 4)
    info = WeightsInfo(backbone="srresnet", hyper=HYPER, scale=4, regularizer="rff", seed=0, iterations=7, run="run")
    weight_files.save(backbone, info, paths.MODELS / "srresnet-rff-0.safetensors")
    tracked: dict[str, float] = {}
    run = contextlib.nullcontext(SimpleNamespace(summary=tracked.update))
    monkeypatch.setattr(analyse.tracking, "open_run", lambda *arguments: run)
    analyse.run(settings, Run("srresnet", "rff", 0))
    assert tracked["lr_images_seen"] == 7 * settings.train.batch
    written = {path.name: path.read_bytes() for path in sorted((paths.ANALYSIS / "srresnet-rff-0").iterdir())}
    names = ["channel_entropy", "cost", "frequency", "interaction", "plane", "separation"]
    assert list(written) == [f"{name}.csv" for name in names]
    frames = {name: pd.read_csv(paths.ANALYSIS / "srresnet-rff-0" / f"{name}.csv") for name in names}
    assert len(frames["plane"]) == 2 * 8
    layers = frames["separation"]["layer"].drop_duplicates().tolist()
    assert layers == ["blocks.0", "last"]  # of one block
    assert frames["separation"][["layer", "label"]].to_numpy().tolist() == [
        [layer, label] for layer in layers for label in ("degradation", "content")
    ]
    assert (frames["separation"]["chi"] > 0).all()
    for name, bands in (("frequency", settings.analyse.frequency_bands), ("channel_entropy", 1)):
        assert frames[name].groupby(["benchmark", "case", "image"]).size().tolist() == [bands] * 2 * 2
    assert (frames["interaction"]["added_energy"] > 0).all()
    assert set(frames["interaction"]["order"]) == {0, 1, 2}  # of a 2 × 2 grid: two other patches
    assert len(frames["interaction"]) == 6 * (3 + 1)
    assert frames["cost"].loc[0, "iterations"] == 7
    assert frames["cost"].loc[0, "penalty_flops"] > 0
    analyse.run(settings, Run("srresnet", "rff", 0))
    again = {path.name: path.read_bytes() for path in sorted((paths.ANALYSIS / "srresnet-rff-0").iterdir())}
    assert again == written
