"""Backbones by name: what they cost, and what is refused."""

from pathlib import Path

import pytest
import torch

from blindsr.config import conf
from blindsr.model import architecture
from blindsr.model.network import build_regularizer
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


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
