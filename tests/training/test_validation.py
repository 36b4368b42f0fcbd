"""PSNR while training: right, fixed, and without a trace in the weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blindsr.config.schema import TrainParams, ValidationParams
from blindsr.data import images
from blindsr.data.patch_store import PatchStore
from blindsr.plugins.backbones.base import Backbone
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.training.ema import Ema
from blindsr.training.validation import Validation, _psnr, statistics_distances


class Nearest(Backbone):
    """Nearest upsampling times a weight."""

    last = "end"

    def __init__(self, factor: float) -> None:
        super().__init__(4)
        self.factor = nn.Parameter(torch.tensor(factor))
        self.end = nn.Identity()

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return self.end(nn.functional.interpolate(lr, scale_factor=4) * self.factor)


@pytest.fixture
def params(train_params: TrainParams) -> ValidationParams:
    return train_params.validation.model_copy(update={"every": 4, "windows": 2})


@pytest.mark.parametrize("border", [2, 3, 4])
def test_psnr_is_that_of_the_tables(border: int) -> None:
    generator = np.random.default_rng(0)
    hr = generator.integers(0, 256, (3, 40, 48, 3), dtype=np.uint8)
    sr = torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    wanted = np.mean([psnr(images.to_uint8(ours), theirs, border) for ours, theirs in zip(sr, hr, strict=True)])
    assert _psnr(sr, torch.from_numpy(hr).permute(0, 3, 1, 2), border) == pytest.approx(wanted, rel=1e-12)


def test_the_averaged_weights_are_scored_when_it_is_time(store: PatchStore, params: ValidationParams) -> None:
    network = Nearest(1.0)
    validate = Validation(store, params, network, 64, 4)
    good, bad = Ema(Nearest(1.0)), Ema(Nearest(0.5))
    assert validate(3, good) == {}
    scores = validate(4, good)
    assert list(scores) == ["mean_distance", "covariance_distance", "psnr_db_clean", "psnr_db_b-n-j"]
    assert scores["psnr_db_clean"] > scores["psnr_db_b-n-j"] > 10
    assert validate(8, bad)["psnr_db_clean"] < scores["psnr_db_clean"] - 3
    assert Validation(store, params, network, 64, 4)(4, good) == scores
    assert network.factor.item() == 1.0


def test_training_is_the_same_to_the_last_bit_without_it(local_run: Callable[..., Any], undisturbed: Any) -> None:
    mine, watched = local_run("train.validation.every=0"), undisturbed("dropout")
    mine.train("dropout", "0")
    assert torch.equal(mine.weights("dropout"), watched.weights("dropout"))
    curves = [(place.folder / "reports/curves/srresnet-dropout-0.csv").read_text() for place in (mine, watched)]
    without, rows = ([line.split(",") for line in curve.splitlines()] for curve in curves)
    added = ["mean_distance", "covariance_distance", "psnr_db_clean", "psnr_db_b-n-j"]
    assert rows[0] == [*without[0], *added]
    assert [row[:-4] for row in rows] == without
    seen = [row for row in rows[1:] if row[-1]]
    assert [row[0] for row in seen] == ["4", "8", "12"]
    assert all(float(row[-3]) > 0 for row in seen)  # one view in training, two in validation


def test_distances_by_hand() -> None:
    """Two images, two channels: the views' means are (3, 1) and (1, 0) apart, one entry of a covariance is 4, not 1.

    All pixels together have variances (of 16 values each) that numpy knows.
    """
    pattern = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]])  # uncorrelated, of variance 1
    a = torch.stack([pattern, pattern])
    b = torch.stack([pattern + torch.tensor([[3.0], [1.0]]), pattern * torch.tensor([[2.0], [1.0]])])
    b[1] += torch.tensor([[1.0], [0.0]])
    variance = np.stack([a, b]).transpose(2, 0, 1, 3).reshape(2, -1).var(1, ddof=1).sum()
    found = statistics_distances(a[..., None], b[..., None])
    assert found["mean_distance"] == pytest.approx((10 + 1) / 2 / variance)
    own = ((2 + 2) + (2 + 17)) / 2  # squared norms of diag(1, 1) three times and of diag(4, 1)
    assert found["covariance_distance"] == pytest.approx((4 - 1) ** 2 / own)


def test_distances_do_not_see_the_scale_but_what_the_views_share() -> None:
    a = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    b = a + 0.5 * torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(1)) + 0.3
    wanted = statistics_distances(a, b)
    assert statistics_distances(1e-3 * a, 1e-3 * b) == pytest.approx(wanted, rel=1e-5)
    assert set(statistics_distances(a, a).values()) == {0.0}
    assert set(statistics_distances(0 * a, 0 * a).values()) == {0.0}
    shifted = statistics_distances(a, a + 0.3)
    assert shifted["mean_distance"] > 0.01
    assert shifted["covariance_distance"] == pytest.approx(0, abs=1e-12)


def test_distances_are_those_of_the_windows_under_two_cases(store: PatchStore, params: ValidationParams) -> None:
    validate = Validation(store, params, Nearest(1.0), 64, 4)
    clean, degraded = validate._lr.values()
    wanted = statistics_distances(clean, degraded)  # pixels that are repeated 16 times change the divisor n - 1 alone
    found = validate(4, Ema(Nearest(0.5)))
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=2e-3)
    alone = params.model_copy(update={"cases": {"clean": params.cases["clean"]}})
    assert list(Validation(store, alone, Nearest(1.0), 64, 4)(4, Ema(Nearest(1.0)))) == ["psnr_db_clean"]


def test_flat_windows_are_drawn_again(store: PatchStore, params: ValidationParams, monkeypatch: Any) -> None:
    """A flat window is kept only where nothing else is found."""
    drawn = Validation(store, params, Nearest(1.0), 64, 4)._hr
    assert all(window.std(axis=(0, 1)).max() >= 5 for window in drawn)
    monkeypatch.setattr(type(store), "image", lambda *_: np.full((80, 80, 3), 7, np.uint8))
    scores = Validation(store, params, Nearest(1.0), 64, 4)(4, Ema(Nearest(1.0)))
    assert scores["psnr_db_clean"] == np.inf
