"""Operations by hand: convolutions of a network, matrix products of a penalty, and what training does with them."""

import pytest
import torch

from blindsr.analysis.training_cost import training_cost
from blindsr.config import registry
from blindsr.model import architecture
from blindsr.model.network import Network, build_regularizer


def build(reg, backbone="srresnet", hyper=None):
    hyper = hyper or {"num_blocks": 1, "num_features": 4}
    with torch.device("meta"):
        return Network(architecture.build_backbone(backbone, hyper, 4), build_regularizer(reg, {}))


def test_a_convolutional_network_by_hand():
    """SRResNet of one block and four features on 8×8 LR pixels, 36 = 4 · 3 · 3 weights an output value."""
    at_lr = 64 * (27 * 4 + 36 * 4 + 36 * 4 + 36 * 16)  # first, block of two, upsampling
    at_2x = 256 * 36 * 16
    at_hr = 1024 * (36 * 4 + 36 * 3)
    forward = 2 * (at_lr + at_2x + at_hr)
    first = 2 * 64 * 27 * 4  # the input's gradient is never needed
    cost = training_cost(build("none"), batch=2, crop=32, scale=4)
    assert cost.iteration_flops == 2 * (3 * forward - first)
    assert cost.penalty_flops == 0
    assert (cost.lr_images, cost.hr_patches) == (2, 2)
    totals = cost.totals(1000)
    assert (totals["lr_images_seen"], totals["hr_patches_seen"]) == (2000, 2000)
    assert totals["training_tflop"] == pytest.approx(2 * (3 * forward - first) / 1e9)
    parameters = (27 + 1) * 4 + 2 * (36 + 1) * 4 + 2 * (36 + 1) * 16 + (36 + 1) * 4 + (36 + 1) * 3
    assert cost.parameters == parameters


def test_two_views_see_half_the_patches_and_pay_for_the_penalty():
    """Of each of two pairs: a product over N = 32² pixels of 4 by 4 channels forward, and for each view one
    backward; each of the three with a product with a mean beside it."""
    none, linear = (training_cost(build(reg), batch=4, crop=32, scale=4) for reg in ("none", "linear"))
    assert (linear.lr_images, linear.hr_patches) == (4, 2)
    products, means = 3 * (4 * 4 * 32**2), 3 * (4 * 4)
    assert linear.penalty_flops == 2 * 2 * (products + means)
    assert linear.iteration_flops == none.iteration_flops + linear.penalty_flops


def test_dropout_costs_nothing_that_is_counted():
    assert training_cost(build("dropout"), 2, 32, 4) == training_cost(build("none"), 2, 32, 4)


@pytest.mark.parametrize("reg", registry.names("regularizer"))
def test_every_regularizer_costs_at_least_the_network(reg):
    none, cost = (training_cost(build(name), 4, 32, 4) for name in ("none", reg))
    assert cost.iteration_flops - cost.penalty_flops == none.iteration_flops
    assert cost.penalty_flops >= 0


@pytest.mark.parametrize(
    ("backbone", "hyper"),
    [
        ("rrdb", {"num_blocks": 1, "num_features": 4, "growth": 2}),
        ("msrn", {"num_blocks": 2, "num_features": 4}),
        ("swinir", {"depths": [2], "num_heads": [2], "dim": 4, "window_size": 4}),
    ],
)
def test_every_backbone_costs_about_three_forward_passes(backbone, hyper):
    with torch.device("cpu"):
        forward = architecture.count_flops(architecture.build_backbone(backbone, hyper, 4), 8, 8)
    cost = training_cost(build("none", backbone, hyper), batch=2, crop=32, scale=4)
    assert 2.5 < cost.iteration_flops / (2 * forward) <= 3
