"""Training: one step by hand, exact resuming, workers, diagnostics, and what is refused."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.model.network import Network
from blindsr.plugins.degradations.base import Degradation
from blindsr.plugins.regularizers.base import Regularizer, Step
from blindsr.runtime.errors import UserError
from blindsr.training import checkpoint, trainer
from blindsr.training.distributed import World
from blindsr.training.losses import build_losses
from blindsr.training.samples import Batches
from blindsr.training.step import Stepper


class ToyBackbone(nn.Module):
    """Nearest upsampling between two convolutions: a backbone's contract in two layers."""

    last = "convolve"

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.convolve = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        return self.convolve(nn.functional.interpolate(self.first(lr), scale_factor=4))


class ToyRegularizer(Regularizer):
    """Random masking and a squared distance: whatever a plug-in may do."""

    def __init__(self, views: int, drop: float = 0.0) -> None:
        super().__init__()
        self.views = views
        self.drop = drop

    def change_features(self, name: str, x: Tensor, step: Step) -> Tensor:
        return nn.functional.dropout2d(x, self.drop, self.training)

    def penalty(self, step: Step) -> Tensor:
        if step.views == 1:
            return super().penalty(step)
        a, b = step.of_views(step.features["last"])
        return (a - b).square().mean()


@pytest.fixture
def run(
    store: PatchStore, train_params: TrainParams, degradation: Degradation, tmp_path: Path
) -> Callable[..., tuple[Network, list[trainer.CurvePoint]]]:
    """Trains a toy network; keyword arguments change settings of `trainer.train`."""

    numbers = itertools.count()

    def start(
        *, views: int = 2, drop: float = 0.0, params: TrainParams = train_params, seed: int = 0, **changes: Any
    ) -> tuple[Network, list[trainer.CurvePoint]]:
        network = Network(trainer.initialize(ToyBackbone, seed), ToyRegularizer(views, drop))
        settings: dict[str, Any] = {
            "losses": build_losses(params),
            "weight": 0.1,
            "states": tmp_path / f"states{next(numbers)}",  # a finished training is kept, and would be taken over
            "world": World(torch.device("cpu")),
            "workers": 0,
            "checkpoint_every": 100,
            "log": lambda step, point: None,
        }
        batches = Batches(store, params, degradation, seed=seed, views=views, scale=4)
        curve = trainer.train(network, batches, params, seed=seed, **(settings | changes))
        return network, curve

    return start


def weights(network: Network) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.backbone.parameters()]


def equal(a: Network, b: Network) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def test_one_iteration_by_hand(run, store, train_params, degradation) -> None:
    """Adam's first step moves every weight by the learning rate against the sign of its gradient."""
    params = train_params.model_copy(update={"iterations": 1, "ema_decay": 0.0})
    network, curve = run(params=params)
    start = Network(trainer.initialize(ToyBackbone, 0), ToyRegularizer(2))
    lr, hr = Batches(store, params, degradation, seed=0, views=2, scale=4)[0]
    step = Step(lr, hr, 2)
    start.predict(step)
    features = step.features["last"]
    l1 = (step.sr - torch.cat([hr, hr])).abs().mean()
    penalty = (features[:2] - features[2:]).square().mean()
    (l1 + 0.1 * penalty).backward()
    assert curve[0]["l1"] == pytest.approx(l1.item())
    assert curve[0]["penalty"] == pytest.approx(penalty.item())
    for before, after in zip(start.backbone.parameters(), weights(network), strict=True):
        assert before.grad is not None
        change = params.learning_rate * before.grad / (before.grad.abs() + 1e-8)
        torch.testing.assert_close(after, before.detach() - change, rtol=0, atol=1e-6)


def test_the_ema_is_what_the_network_ends_with(run, train_params) -> None:
    """Shadow after one step with decay d: d · initial + (1 - d) · trained."""
    one = train_params.model_copy(update={"iterations": 1})
    trained, _ = run(params=one.model_copy(update={"ema_decay": 0.0}))
    averaged, _ = run(params=one.model_copy(update={"ema_decay": 0.75}))
    initial = trainer.initialize(ToyBackbone, 0).parameters()
    for start, end, shadow in zip(initial, weights(trained), weights(averaged), strict=True):
        torch.testing.assert_close(shadow, 0.75 * start + 0.25 * end)


def test_training_lowers_the_loss(run, train_params) -> None:
    _, curve = run(params=train_params.model_copy(update={"iterations": 40, "log_every": 10}))
    assert curve[-1]["l1"] < 0.8 * curve[0]["l1"]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run) -> None:
    first, curve = run(drop=0.5)
    second, again = run(drop=0.5)
    other, _ = run(drop=0.5, seed=1)
    assert equal(first, second)
    assert curve == again
    assert not equal(first, other)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_change_no_bit(run, workers: int) -> None:
    alone, curve = run(drop=0.5)
    helped, again = run(drop=0.5, workers=workers)
    assert equal(alone, helped)
    assert curve == again


@pytest.mark.parametrize("killed_after", [1, 2, 3, 5])
def test_a_killed_run_ends_with_the_same_bytes(run, killed_after: int, monkeypatch, tmp_path) -> None:
    whole, curve = run(drop=0.5, states=tmp_path / "whole")
    step, done = Stepper.__call__, []

    def dying(*arguments: Any, **more: Any) -> dict[str, float]:
        if len(done) == killed_after:
            raise KeyboardInterrupt
        done.append(1)
        return step(*arguments, **more)

    logged: list[float] = []
    settings: dict[str, Any] = {
        "drop": 0.5,
        "checkpoint_every": 1,
        "log": lambda at, point: logged.append(point["iteration"]),
    }
    monkeypatch.setattr(Stepper, "__call__", dying)
    with pytest.raises(KeyboardInterrupt):
        run(**settings)
    monkeypatch.setattr(Stepper, "__call__", step)
    logged.clear()
    resumed, again = run(**settings)
    assert equal(whole, resumed)
    assert curve == again
    assert logged == [2, 4, 6]  # points before the kill are given to the tracker again, each once


def test_the_state_of_a_finished_run_is_kept_until_its_result_is_committed(run, tmp_path) -> None:
    run(checkpoint_every=2, states=tmp_path / "own")
    newest = checkpoint.latest(tmp_path / "own")
    assert newest is not None
    assert newest["iteration"] == 6


def test_the_curve_has_the_means_since_its_last_point(run, train_params, tmp_path) -> None:
    _, fine = run(params=train_params.model_copy(update={"log_every": 1}))
    _, coarse = run(params=train_params.model_copy(update={"log_every": 4}), states=tmp_path / "coarse")
    l1 = [point["l1"] for point in fine]
    assert [point["iteration"] for point in coarse] == [4, 6]
    assert coarse[0]["l1"] == pytest.approx(sum(l1[:4]) / 4)
    assert coarse[1]["l1"] == pytest.approx(sum(l1[4:]) / 2)


def test_one_view_has_no_penalty(run) -> None:
    _, curve = run(views=1)
    assert {point["penalty"] for point in curve} == {0.0}
    assert {point["view_distance"] for point in curve} == {0.0}


def test_divergence_is_one_line(run, train_params) -> None:
    with pytest.raises(UserError, match="diverged: the loss or its gradient is not finite in iteration 1"):
        run(weight=float("nan"))


def test_features_that_forget_the_image_are_said_once(run, capsys) -> None:
    """The number of the validation stands in the curve, and the warning is one line."""
    values = iter([1.0, *[1e-5] * 99])
    _, curve = run(validate=lambda iteration, ema: {"content_divergence": next(values)}, label="net-rff-0")
    assert len(curve) > 2
    assert [point["content_divergence"] for point in curve] == [1.0, *[1e-5] * (len(curve) - 1)]
    said = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(said) == 1
    assert said[0].startswith("warning: net-rff-0: after iteration ")


def test_bf16_on_a_cpu_is_refused(run, train_params) -> None:
    with pytest.raises(UserError, match="bf16 needs an NVIDIA GPU"):
        run(params=train_params.model_copy(update={"precision": "bf16"}))


def test_initial_weights_depend_on_the_seed_alone() -> None:
    first = trainer.initialize(ToyBackbone, 3)
    torch.rand(7)
    again = trainer.initialize(ToyBackbone, 3)
    other = trainer.initialize(ToyBackbone, 4)
    assert torch.equal(first.first.weight, again.first.weight)
    assert not torch.equal(first.first.weight, other.first.weight)
