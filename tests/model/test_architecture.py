"""Backbones by name: what they cost, and what is refused."""

from pathlib import Path

import pytest
import torch

from blindsr.config import conf
from blindsr.model import architecture
from blindsr.model.network import build_regularizer
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "srresnet": {"num_blocks": 1, "num_features": 8},
    "rrdb": {"num_blocks": 1, "num_features": 8, "growth": 4},
    "msrn": {"num_blocks": 1, "num_features": 8},
    "swinir": {
        "depths": [1],
        "num_heads": [2],
        "dim": 8,
        "window_size": 8,
        "mlp_ratio": 2.0,
        "upsampler": "nearest+conv",
    },
}


@pytest.mark.parametrize(
    ("name", "changes", "parameters", "gflop"),
    [
        ("srresnet", {}, 1.518e6, 5.19),
        ("rrdb", {}, 16.70e6, 36.7),
        ("msrn", {}, 6.08e6, 13.4),
        ("swinir", {}, 11.72e6, 28.0),
        ("swinir", {"upsampler": "pixelshuffle"}, 11.90e6, 26.8),
    ],
)
def test_size_and_cost_of_the_papers_networks(
    name: str, changes: dict[str, str], parameters: float, gflop: float
) -> None:
    full = conf.compose(ROOT / "conf", ["profile=paper"])["backbone"]["hyper"][name] | changes
    with torch.device("meta"):
        backbone = architecture.build_backbone(name, full, 4)
    assert architecture.count_parameters(backbone) == pytest.approx(parameters, rel=5e-4)
    assert architecture.count_flops(backbone, 32, 32) / 1e9 == pytest.approx(gflop, rel=2e-3)


def test_settings_that_build_refuses_are_one_line() -> None:
    with pytest.raises(UserError, match="backbone 'srresnet': num_blocks"):
        architecture.build_backbone("srresnet", {"num_blocks": 0}, 4)
    with pytest.raises(UserError, match="regularizer 'dropout': rate"):
        build_regularizer("dropout", {"rate": 1.5})


def test_a_network_of_more_parameters_than_there_are_weights_is_not_built() -> None:
    hyper = {"num_blocks": 2, "num_features": 8}
    size = architecture.count_parameters(architecture.build_backbone("srresnet", hyper, 4))
    with architecture.at_most(size):
        architecture.build_backbone("srresnet", hyper, 4)
    with pytest.raises(UserError, match="more parameters than the 10 numbers"), architecture.at_most(10):
        architecture.build_backbone("srresnet", {"num_blocks": 200, "num_features": 64}, 4)
    architecture.build_backbone("srresnet", {"num_blocks": 32, "num_features": 64}, 4)  # the bound is gone
    with pytest.raises(UserError, match="more parameters than the 10 numbers"):
        architecture.build_for({"weight": torch.zeros(10)}, "srresnet", {"num_blocks": 200, "num_features": 64}, 4)


@pytest.mark.parametrize("name", ["srresnet", "rrdb", "msrn", "swinir"])
def test_a_network_whose_weights_are_loaded_next_draws_no_initial_ones(name: str) -> None:
    hyper = SMALL[name]
    drawn = architecture.build_backbone(name, hyper, 4)
    before = torch.get_rng_state()
    loaded = architecture.build_for(drawn.state_dict(), name, hyper, 4)
    assert torch.equal(torch.get_rng_state(), before)
    loaded.load_state_dict(drawn.state_dict())
    lr = torch.rand(1, 3, 16, 16)
    assert torch.equal(loaded(lr), drawn(lr))
    assert not torch.equal(architecture.build_backbone(name, hyper, 4)(lr), drawn(lr))  # initial ones again


def test_zeros_are_in_parameters_alone() -> None:
    torch.manual_seed(0)
    with architecture._Undrawn():
        assert torch.empty(3).normal_().abs().min() > 0
        layer, norm = torch.nn.Linear(2, 2), torch.nn.BatchNorm2d(4)
        torch.nn.init.trunc_normal_(layer.weight)
        torch.nn.init.kaiming_normal_(layer.weight)
    assert not layer.weight.any()
    assert not layer.bias.any()
    assert norm.weight.tolist() == norm.running_var.tolist() == [1.0] * 4
