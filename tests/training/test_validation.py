"""PSNR while training: right, fixed, and without a trace in the weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blindsr import images
from blindsr.datasets.patch_store import PatchStore
from blindsr.metrics.psnr import psnr
from blindsr.settings import TrainParams, ValidationParams
from blindsr.training.ema import Ema
from blindsr.training.validation import Validation, _psnr


class Nearest(nn.Module):
    """Nearest upsampling times a weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(lr, scale_factor=4) * self.factor


@pytest.fixture
def params(train_params: TrainParams) -> ValidationParams:
    return train_params.validation.model_copy(update={"every": 4, "windows": 2})


def test_psnr_is_that_of_the_tables() -> None:
    generator = np.random.default_rng(0)
    hr = generator.integers(0, 256, (3, 40, 48, 3), dtype=np.uint8)
    sr = torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    wanted = np.mean([psnr(images.to_uint8(ours), theirs) for ours, theirs in zip(sr, hr, strict=True)])
    assert _psnr(sr, torch.from_numpy(hr).permute(0, 3, 1, 2)) == pytest.approx(wanted, rel=1e-12)


def test_the_averaged_weights_are_scored_when_it_is_time(store: PatchStore, params: ValidationParams) -> None:
    network = Nearest(1.0)
    validate = Validation(store, params, network, 64, 4)
    good, bad = Ema(Nearest(1.0)), Ema(Nearest(0.5))
    assert validate(3, good) == {}
    scores = validate(4, good)
    assert list(scores) == ["psnr_db_clean", "psnr_db_b-n-j"]
    assert scores["psnr_db_clean"] > scores["psnr_db_b-n-j"] > 10
    assert validate(8, bad)["psnr_db_clean"] < scores["psnr_db_clean"] - 3
    assert Validation(store, params, network, 64, 4)(4, good) == scores
    assert network.factor.item() == 1.0


def test_training_is_the_same_to_the_last_bit_without_it(cell: Callable[..., Any], undisturbed: Any) -> None:
    mine, watched = cell("train.validation.every=0"), undisturbed("dropout")
    mine.train("dropout", "0")
    assert torch.equal(mine.weights("dropout"), watched.weights("dropout"))
    curves = [(place.folder / "reports/curves/srresnet-dropout-0.csv").read_text() for place in (mine, watched)]
    without, rows = ([line.split(",") for line in curve.splitlines()] for curve in curves)
    assert rows[0] == [*without[0], "psnr_db_clean", "psnr_db_b-n-j"]
    assert [row[:-2] for row in rows] == without
    assert [row[0] for row in rows[1:] if row[-1]] == ["4", "8", "12"]
