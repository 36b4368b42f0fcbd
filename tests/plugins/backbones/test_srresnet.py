"""SRResNet: sizes, names and initialization of the public network, and answers worked out by hand."""

import math

import pytest
import torch

from blindsr.model import architecture
from blindsr.plugins.backbones import srresnet
from steps import features_of


def test_size_and_cost():
    """Two operations per multiply-add; per LR pixel, 4 and 16 upsampled ones."""
    with torch.device("meta"):
        network = srresnet.build()
    square = 9 * 64 * 64
    weights = 9 * 3 * 64 + 32 * square + 2 * 4 * square + square + 9 * 64 * 3
    biases = 64 + 32 * 64 + 2 * 256 + 64 + 3
    assert architecture.count_parameters(network) == weights + biases == 1_517_571
    per_pixel = 9 * 3 * 64 + 32 * square + 4 * square + 4 * 4 * square + 16 * square + 16 * 9 * 64 * 3
    assert architecture.count_flops(network, 32, 32) == 2 * 32 * 32 * per_pixel == 5_193_990_144


@pytest.mark.parametrize(
    ("scale", "upsampling"), [(2, {"upconv1": 4}), (3, {"upconv1": 9}), (4, {"upconv1": 4, "upconv2": 4})]
)
def test_names_and_shapes_of_the_public_checkpoints(scale, upsampling):
    channels = {"conv_first": (3, 8), "conv_hr": (8, 8), "conv_last": (8, 3)}
    channels |= {f"body.{i}.{conv}": (8, 8) for i in range(2) for conv in ("conv1", "conv2")}
    channels |= {name: (8, 8 * factor) for name, factor in upsampling.items()}
    expected = {}
    for name, (fan_in, fan_out) in channels.items():
        expected |= {f"{name}.weight": (fan_out, fan_in, 3, 3), f"{name}.bias": (fan_out,)}
    network = srresnet.build(scale=scale, num_blocks=2, num_features=8)
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected
    assert network(torch.zeros(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)


def test_initialization_of_the_released_code():
    torch.manual_seed(0)
    state = srresnet.build(num_blocks=2).state_dict()
    scaled = ["conv_hr", "upconv2", "conv_first", "conv_last"]
    scaled += [f"body.{i}.{conv}" for i in range(2) for conv in ("conv1", "conv2")]
    for name in scaled:
        weight = state[f"{name}.weight"]
        assert weight.std().item() == pytest.approx(0.1 * math.sqrt(2 / weight[0].numel()), rel=0.08), name
        assert not state[f"{name}.bias"].any(), name
    bound = 1 / math.sqrt(9 * 64)  # PyTorch's default: uniform within it
    assert state["upconv1.weight"].abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert state["upconv1.weight"].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert state["upconv1.bias"].any()


def test_a_silent_last_convolution_leaves_the_bilinear_upsampling():
    network = srresnet.build(num_blocks=1, num_features=4)
    for parameter in network.conv_last.parameters():
        torch.nn.init.zeros_(parameter)
    lr = torch.tensor([0.0, 1.0]).expand(1, 3, 2, 2)
    row = torch.tensor([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    assert torch.equal(network(lr), row.expand(1, 3, 8, 8))


def test_answers_by_hand():
    """One channel: slope 0.1 of the activations, a residual block, and the base added to the last convolution."""
    network = srresnet.build(num_blocks=1, num_features=1)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        network.conv_first.bias.fill_(-4)  # activated: -0.4
        network.body[0].conv1.bias.fill_(3)  # activated: 3
        network.body[0].conv2.weight[:, :, 1, 1] = -1  # residual: -0.4 - 3 = -3.4
        network.upconv1.weight[:, :, 1, 1] = 1  # -0.34 after the activation
        network.upconv2.weight[:, :, 1, 1] = 2  # -0.068
        network.conv_hr.weight[:, :, 1, 1] = 5  # -0.034
        network.conv_last.weight[:, :, 1, 1] = 10
        network.conv_last.bias.copy_(torch.tensor([0, 1.0, 2.0]))
    lr = torch.full((1, 3, 2, 3), 0.5)
    torch.testing.assert_close(features_of(network, lr), torch.full((1, 1, 8, 12), -0.034))
    expected = torch.tensor([0.16, 1.16, 2.16]).view(1, 3, 1, 1).expand(1, 3, 8, 12)
    torch.testing.assert_close(network(lr), expected)


def test_residual_activation_is_a_plain_relu():
    block = srresnet.build(num_blocks=1, num_features=1).body[0]
    with torch.no_grad():
        block.conv1.weight.zero_()
        block.conv1.bias.fill_(-3)
        block.conv2.weight.fill_(1)
    x = torch.rand(1, 1, 3, 3)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("scale", [1, 5, 8])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="scale must be one of 2, 3, 4"):
        srresnet.build(scale=scale)
