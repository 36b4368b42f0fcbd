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
from blindsr.plugins.degradations.base import Degradation
from blindsr.plugins.metrics.operators.detail import DetailOf
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.training import validation
from blindsr.training.ema import Ema
from blindsr.training.samples import Batches
from blindsr.training.validation import Validation, divergences, statistics_distances


class Nearest(Backbone):
    """Nearest upsampling times a weight."""

    last = "end"

    def __init__(self, factor: float) -> None:
        super().__init__(4)
        self.factor = nn.Parameter(torch.tensor(factor))
        self.end = nn.Identity()

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return self.end(nn.functional.interpolate(lr, scale_factor=4) * self.factor)


def numbers(*cases: str) -> list[str]:
    """The columns that validation adds, in order."""
    found = []
    for case in cases:
        found += [f"psnr_db_{case}", f"detail_cosine_{case}", f"detail_amplitude_{case}"]
        found += ["detail_scale_training"] if case == "training" else []
    found += ["covariance_share", "view_divergence", "content_divergence"] if "training" in cases else []
    return found + (["mean_distance", "covariance_distance"] if len(set(cases) - {"training"}) > 1 else [])


@pytest.fixture
def params(train_params: TrainParams) -> ValidationParams:
    return train_params.validation.model_copy(update={"every": 4, "windows": 2})


def test_psnr_and_detail_are_those_of_the_tables(store: PatchStore, params: ValidationParams) -> None:
    network = Nearest(0.9)
    validate = Validation(store, params, network, 64, 4)
    found = validate(4, Ema(network))
    for case, lrs in validate._lr.items():
        sr = [images.to_uint8(network(images.to_float(lr)[None])[0].detach()) for lr in lrs]
        details = [DetailOf(4)(*each) for each in zip(sr, validate._hr, lrs, strict=True)]
        label = case.replace("+", "-")
        wanted = np.mean([psnr(made, hr) for made, hr in zip(sr, validate._hr, strict=True)])
        assert found[f"psnr_db_{label}"] == pytest.approx(wanted, rel=1e-12)
        assert found[f"detail_cosine_{label}"] == pytest.approx(np.mean([one.cosine for one in details]))
        assert found[f"detail_amplitude_{label}"] == pytest.approx(np.mean([one.amplitude for one in details]))


def test_the_averaged_weights_are_scored_when_it_is_time(store: PatchStore, params: ValidationParams) -> None:
    network = Nearest(1.0)
    validate = Validation(store, params, network, 64, 4)
    good, bad = Ema(Nearest(1.0)), Ema(Nearest(0.5))
    assert validate(3, good) == {}
    scores = validate(4, good)
    assert list(scores) == numbers("clean", "b-n-j")
    assert scores["psnr_db_clean"] > scores["psnr_db_b-n-j"] > 10
    assert validate(8, bad)["psnr_db_clean"] < scores["psnr_db_clean"] - 3
    assert Validation(store, params, network, 64, 4)(4, good) == scores
    assert network.factor.item() == 1.0


@pytest.mark.slow
def test_training_is_the_same_to_the_last_bit_without_it(local_run: Callable[..., Any], undisturbed: Any) -> None:
    mine, watched = local_run("train.validation.every=0"), undisturbed("dropout")
    mine.train("dropout", "0")
    assert torch.equal(mine.weights("dropout"), watched.weights("dropout"))
    curves = [(place.folder / "reports/curves/srresnet-dropout-0.csv").read_text() for place in (mine, watched)]
    without, rows = ([line.split(",") for line in curve.splitlines()] for curve in curves)
    assert rows[0] == [*without[0], *numbers("training", "clean", "b-n-j")]
    assert [row[: len(without[0])] for row in rows] == without
    seen = [row for row in rows[1:] if row[-1]]
    assert [row[0] for row in seen] == ["4", "8", "12"]
    assert all(float(row[-1]) > 0 for row in seen)  # one view in training, two in validation


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
    clean, degraded = (torch.stack([images.to_float(lr) for lr in lrs]) for lrs in validate._lr.values())
    wanted = statistics_distances(clean, degraded)  # pixels that are repeated 16 times change the divisor n - 1 alone
    found = validate(4, Ema(Nearest(0.5)))
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=2e-3)
    alone = params.model_copy(update={"cases": {"clean": params.cases["clean"]}})
    assert list(Validation(store, alone, Nearest(1.0), 64, 4)(4, Ema(Nearest(1.0)))) == numbers("clean")


def test_the_trained_degradation_is_of_the_same_windows_and_of_no_training(
    store: PatchStore, params: ValidationParams, train_params: TrainParams, degradation: Degradation[Any]
) -> None:
    """LR images show their windows, each of two views in another way; a window around the crop is degraded."""
    settings = (64, 4, degradation, 80)
    validate = Validation(store, params, Nearest(1.0), *settings)
    first, second, clean = (
        np.stack(windows) for windows in (validate._lr["training"], validate._second_view, validate._lr["clean"])
    )
    assert first.shape == second.shape == clean.shape == (2, 16, 16, 3)
    for views in (first, second):
        for view, image, other in zip(views, clean, clean[::-1], strict=True):
            near, far = (np.square(view.astype(float) - target).mean() for target in (image, other))
            assert near < far
    assert not np.array_equal(first, second)
    assert np.array_equal(Validation(store, params, Nearest(1.0), *settings)._lr["training"], first)
    batches = Batches(store, train_params, degradation, seed=0, views=1, scale=4)
    assert not any(np.array_equal(images.to_uint8(lr), view) for lr in batches[0].lr for view in first)
    assert list(validate(4, Ema(Nearest(1.0)))) == numbers("training", "clean", "b-n-j")


class Sharpened(Backbone):
    """What bicubic upsampling leaves of an image, plus a multiple of the detail that is really missing."""

    last = "end"

    def __init__(self, known: dict[bytes, torch.Tensor], factor: float) -> None:
        super().__init__(4)
        self.known, self.factor, self.end = known, nn.Parameter(torch.tensor(factor)), nn.Identity()

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return self.end(torch.stack([self.known[image.numpy().tobytes()](self.factor) for image in lr]))


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
def test_the_scale_undoes_what_is_planted(
    store: PatchStore, params: ValidationParams, degradation: Degradation[Any], factor: float
) -> None:
    """Right detail at a planted amplitude: cosine 1, that amplitude, and its inverse as the scale (of 8 bits)."""
    validate = Validation(store, params, Nearest(1.0), 64, 4, degradation, 80)
    known: dict[bytes, Any] = {}
    for lrs in validate._lr.values():
        for lr, hr in zip(lrs, map(images.to_float, validate._hr), strict=True):
            base = images.to_float(images.bicubic_upscale(lr, 4))
            known[images.to_float(lr).numpy().tobytes()] = lambda a, base=base, hr=hr: base + a * (hr - base)
    for lr in validate._second_view:
        known[images.to_float(lr).numpy().tobytes()] = lambda a: a.expand(3, 64, 64)
    network = Sharpened(known, factor)
    planted = Validation(store, params, network, 64, 4, degradation, 80)
    planted._network.known = known
    found = planted(4, Ema(network))
    assert found["detail_scale_training"] == pytest.approx(1 / factor, rel=0.05)
    for case in ("training", "clean", "b-n-j"):
        assert found[f"detail_cosine_{case}"] == pytest.approx(1, abs=0.05)
        assert found[f"detail_amplitude_{case}"] == pytest.approx(factor, rel=0.1)


def test_divergences_see_contents_and_no_affine_map() -> None:
    generator = torch.Generator().manual_seed(0)
    contents = torch.randn(6, 4, 1, 1, generator=generator)
    a, b = (contents + 0.3 * torch.randn(6, 4, 12, 12, generator=generator) for _ in range(2))
    found = divergences(a, b)
    assert found["view_divergence"] < 0.1 * found["content_divergence"]
    mixture = torch.randn(4, 4, generator=generator) + 2 * torch.eye(4)
    mapped = [torch.einsum("dc,nchw->ndhw", mixture, x) * 1e-3 + 0.01 for x in (a, b)]
    invariant = ("view_divergence", "content_divergence")
    of_mapped = divergences(*mapped)
    assert [of_mapped[name] for name in invariant] == pytest.approx([found[name] for name in invariant], rel=1e-3)
    same = [x[:1].expand(6, -1, -1, -1) for x in (a, b)]  # features that do not depend on the image
    assert divergences(*same)["content_divergence"] < 0.1 * found["content_divergence"]
    assert divergences(a[:1].expand_as(a), a[:1].expand_as(a))["content_divergence"] < validation.COLLAPSED


def test_the_share_of_the_covariance_by_hand() -> None:
    """Means 3 apart, variances 4 and 1: (4 - 1)² of 3² + (4 - 1)²; a tenth of the scale leaves 1 % of the term."""
    pattern = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 1, 2, 2)
    a, b = (2 * pattern).expand(2, 1, 2, 2), (pattern + 3).expand(2, 1, 2, 2)
    assert divergences(a, b)["covariance_share"] == pytest.approx(0.5)
    assert divergences(a / 10, b / 10)["covariance_share"] == pytest.approx(0.0009 / 0.0909)
    assert divergences(a, a)["covariance_share"] == 0


def test_a_collapse_is_said_once() -> None:
    fine, gone = {"iteration": 4.0, "content_divergence": 0.3}, {"iteration": 8.0, "content_divergence": 2e-5}
    collapse = validation.Collapse([fine])
    assert collapse.of(fine) == collapse.of({"iteration": 5.0}) == ""
    said = collapse.of(gone)
    assert said.startswith("after iteration 8 the features hardly depend on the image (content_divergence 2e-05): ")
    assert "\n" not in said
    assert collapse.of(gone) == ""
    assert validation.Collapse([fine, gone]).of(gone) == ""
    assert validation.Collapse([]).of(gone) == ""  # it was never otherwise: a network that has hardly been trained
    assert validation.Collapse([{"iteration": 2.0}]).of(gone) == ""


def test_flat_windows_are_drawn_again(store: PatchStore, params: ValidationParams, monkeypatch: Any) -> None:
    """A flat window is kept only where nothing else is found."""
    drawn = Validation(store, params, Nearest(1.0), 64, 4)._hr
    assert all(window.std(axis=(0, 1)).max() >= 5 for window in drawn)
    monkeypatch.setattr(type(store), "image", lambda *_: np.full((80, 80, 3), 7, np.uint8))
    scores = Validation(store, params, Nearest(1.0), 64, 4)(4, Ema(Nearest(1.0)))
    assert np.isnan(scores["psnr_db_clean"])  # each is restored exactly


def test_a_window_that_is_restored_exactly_is_in_no_mean(store: PatchStore, params: ValidationParams) -> None:
    validate = Validation(store, params, Nearest(1.0), 64, 4)
    known = validate(4, Ema(Nearest(1.0)))["psnr_db_clean"]
    grey = np.full((64, 64, 3), 77, np.uint8)
    validate._hr.append(grey)
    for lr in validate._lr.values():
        lr.append(grey[::4, ::4].copy())
    assert validate(4, Ema(Nearest(1.0)))["psnr_db_clean"] == known
