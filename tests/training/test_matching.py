"""A weight that is adapted to a share of the gradient: where it settles, resumed or not."""

import pytest
import torch

from blindsr.config.schema import RegularizerSettings
from blindsr.model.network import Network
from blindsr.plugins.regularizers import dropout, linear, none
from blindsr.plugins.regularizers.base import Regularizer
from blindsr.runtime.errors import UserError
from blindsr.training import matching, trainer
from tests.training.test_trainer import ToyBackbone, equal, run, weights  # noqa: F401

CPU = torch.device("cpu")


def toy(regularizer: Regularizer) -> Network:
    return Network(trainer.initialize(ToyBackbone, 0), regularizer)


def test_half_of_the_way_in_its_logarithm() -> None:
    weight = matching.matched_weight(2.0, toy(linear.build()), CPU)
    matching.adapt(weight, 0.5, 0.8)  # odds 1 are to be 4: the weight times 4, half of the way times 2
    assert float(weight) == pytest.approx(4.0)
    matching.adapt(weight, 0.8, 0.8)
    assert float(weight) == pytest.approx(4.0)
    matching.adapt(weight, 1 - 1e-9, 0.1)  # no jump of more than ten
    assert float(weight) == pytest.approx(0.4)


@pytest.mark.parametrize("measured", [0.0, 1.0, float("nan")])
def test_what_says_nothing_changes_nothing(measured: float) -> None:
    weight = torch.tensor(3.0)
    matching.adapt(weight, measured, 0.2)
    assert float(weight) == 3.0


def test_settles_at_the_weight_that_has_the_share() -> None:
    weight, gradient = torch.tensor(1e-4), 0.05
    for _ in range(30):
        share = float(weight) * gradient / (1.0 + float(weight) * gradient)
        matching.adapt(weight, share, 0.25)
    assert float(weight) == pytest.approx((1 / 3) / gradient, rel=1e-4)


@pytest.mark.parametrize("regularizer", [none.build(), dropout.build(rate=0.5)])
def test_needs_a_penalty_on_two_views(regularizer: Regularizer) -> None:
    with pytest.raises(UserError, match="needs a penalty on the last features of two views"):
        matching.matched_weight(1.0, toy(regularizer), CPU)


def test_needs_a_weight_to_begin_with() -> None:
    with pytest.raises(UserError, match="weight above 0"):
        matching.matched_weight(0.0, toy(linear.build()), CPU)


@pytest.mark.slow
def test_training_reaches_the_share_and_a_resumed_one_has_the_same_bits(run, train_params, tmp_path) -> None:  # noqa: F811
    params = train_params.model_copy(update={"iterations": 60, "log_every": 2})
    network, curve = run(params=params, gradient_share=0.3, weight=1e-6)
    shares = [point["penalty_gradient_share"] for point in curve]
    assert shares[0] < 1e-3
    assert sum(shares[-10:]) / 10 == pytest.approx(0.3, abs=0.08)
    assert curve[0]["weight"] == pytest.approx(1e-6)
    plain, _ = run(params=params, weight=1e-6)
    assert not equal(network, plain)

    class Stop(Exception):
        pass

    def log(step: int, point: trainer.CurvePoint) -> None:
        if step == 40:
            raise Stop

    settings = {"params": params, "gradient_share": 0.3, "weight": 1e-6, "states": tmp_path / "stopped"}
    with pytest.raises(Stop):
        run(**settings, checkpoint_every=15, log=log)
    resumed, again = run(**settings)
    assert equal(network, resumed)
    assert again == curve


def test_a_share_that_nobody_asked_for_is_not_in_a_runs_key() -> None:
    assert RegularizerSettings(weight=1.0).determining() == {"weight": 1.0, "hyper": {}, "per_backbone": {}}
    assert RegularizerSettings(weight=1.0, gradient_share=0.2).determining()["gradient_share"] == 0.2
