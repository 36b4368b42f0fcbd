"""RRDB: sizes, names and initialization of the public network, and answers worked out by hand."""

import math

import pytest
import torch

from blindsr.model import architecture
from blindsr.plugins.backbones import rrdb
from steps import features_of


def zeroed(**settings):
    network = rrdb.build(**settings)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    return network


def test_size_and_cost():
    """Two operations per multiply-add; per LR pixel, 4 and 16 upsampled ones."""
    with torch.device("meta"):
        network = rrdb.build()
    dense = 9 * (64 * 32 + 96 * 32 + 128 * 32 + 160 * 32 + 192 * 64)
    square = 9 * 64 * 64
    weights = 23 * 3 * dense + 9 * 3 * 64 + 4 * square + 9 * 64 * 3
    biases = 23 * 3 * (4 * 32 + 64) + 5 * 64 + 3
    assert architecture.count_parameters(network) == weights + biases == 16_697_987
    per_pixel = 9 * 3 * 64 + 23 * 3 * dense + square + (4 + 16 + 16) * square + 16 * 9 * 64 * 3
    assert architecture.count_flops(network, 32, 32) == 2 * 32 * 32 * per_pixel == 36_714_184_704


def test_names_and_shapes_of_the_public_checkpoints():
    channels = {"conv_first": (3, 8), "conv_last": (8, 3)}
    channels |= {name: (8, 8) for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr")}
    for block in ("body.0", "body.1"):
        for dense in ("rdb1", "rdb2", "rdb3"):
            channels |= {f"{block}.{dense}.conv{i + 1}": (8 + 5 * i, 5 if i < 4 else 8) for i in range(5)}
    expected = {}
    for name, (fan_in, fan_out) in channels.items():
        expected |= {f"{name}.weight": (fan_out, fan_in, 3, 3), f"{name}.bias": (fan_out,)}
    network = rrdb.build(num_blocks=2, num_features=8, growth=5)
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected


def test_initialization_of_the_public_code():
    torch.manual_seed(0)
    state = rrdb.build(num_blocks=1).state_dict()
    for dense in ("rdb1", "rdb2", "rdb3"):
        for i in range(1, 6):
            weight = state[f"body.0.{dense}.conv{i}.weight"]
            assert weight.std().item() == pytest.approx(0.1 * math.sqrt(2 / weight[0].numel()), rel=0.05)
            assert not state[f"body.0.{dense}.conv{i}.bias"].any()
    for name in ("conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"):
        weight = state[f"{name}.weight"]  # PyTorch's default: uniform within this bound
        assert weight.abs().max().item() == pytest.approx(1 / math.sqrt(weight[0].numel()), rel=0.01), name
        assert state[f"{name}.bias"].any(), name


def test_residual_scales():
    """Each dense block adds 0.2 · 5 = 1, so x becomes x + 0.2 · (x + 3) over the whole block."""
    block = zeroed(num_blocks=1, num_features=2, growth=1).body[0]
    for dense in (block.rdb1, block.rdb2, block.rdb3):
        torch.nn.init.constant_(dense.conv5.bias, 5)
    x = torch.rand(1, 2, 3, 4)
    torch.testing.assert_close(block.rdb1(x), x + 1)
    torch.testing.assert_close(block(x), 1.2 * x + 0.6)


def test_dense_connections():
    """Every convolution sums all it sees: 1, then 2, 4, -8 (activated -1.6); conv5 sees them after the input, 1."""
    dense = zeroed(num_blocks=1, num_features=1, growth=1).body[0].rdb1
    with torch.no_grad():
        for convolution in (dense.conv1, dense.conv2, dense.conv3, dense.conv4):
            convolution.weight[:, :, 1, 1] = 1
        dense.conv4.weight.neg_()
        dense.conv5.weight[0, :, 1, 1] = torch.tensor([1000.0, 100, 10, 1, 5])
    expected = 1 + 0.2 * (1000 + 100 + 20 + 4 - 8)
    torch.testing.assert_close(dense(torch.ones(1, 1, 2, 2)), torch.full((1, 1, 2, 2), expected))


def test_identity_convolutions_upsample_by_nearest_neighbour():
    network = zeroed(num_blocks=1, num_features=3, growth=1)
    identity = torch.eye(3)
    with torch.no_grad():
        for name in ("conv_first", "conv_up1", "conv_up2", "conv_hr", "conv_last"):
            network.get_submodule(name).weight[:, :, 1, 1] = identity
    lr = torch.rand(2, 3, 3, 5)
    assert torch.equal(network(lr), lr.repeat_interleave(4, 2).repeat_interleave(4, 3))


def test_activations_are_leaky_and_the_last_convolution_is_bare():
    network = zeroed(num_blocks=1, num_features=1, growth=1)
    with torch.no_grad():
        network.conv_up1.bias.fill_(-100)  # activated: -20
        network.conv_up2.weight[:, :, 1, 1] = 1  # -4
        network.conv_hr.weight[:, :, 1, 1] = 1  # -0.8
        network.conv_last.weight[:, :, 1, 1] = 1
    lr = torch.rand(1, 3, 2, 2)
    torch.testing.assert_close(features_of(network, lr), torch.full((1, 1, 8, 8), -0.8))
    torch.testing.assert_close(network(lr), torch.full((1, 3, 8, 8), -0.8))


def test_the_body_is_added_to_its_input():
    network = zeroed(num_blocks=1, num_features=1, growth=1)
    with torch.no_grad():
        network.conv_first.bias.fill_(2)
        network.conv_body.bias.fill_(3)
        network.conv_up1.weight[:, :, 1, 1] = 1
        network.conv_up2.weight[:, :, 1, 1] = 1
        network.conv_hr.weight[:, :, 1, 1] = 1
    assert torch.equal(features_of(network, torch.rand(1, 3, 2, 2)), torch.full((1, 1, 8, 8), 5.0))


@pytest.mark.parametrize("scale", [3, 8])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="scale must be one of 1, 2, 4, not"):
        rrdb.build(scale=scale)


@pytest.mark.parametrize(("scale", "channels"), [(1, 48), (2, 12)])
def test_smaller_scales_fold_pixels_into_channels(scale, channels):
    """The x4 network on an image that is already folded gives the same; ragged sizes are extended and cut."""
    torch.manual_seed(0)
    small = rrdb.build(scale=scale, num_blocks=1, num_features=4, growth=2)
    assert small.conv_first.weight.shape[1] == channels
    lr = torch.rand(1, 3, 8, 12)
    whole = rrdb.build(num_blocks=1, num_features=4, growth=2)
    whole.conv_first = small.conv_first
    whole.load_state_dict(small.state_dict())
    torch.testing.assert_close(small(lr), whole(torch.nn.functional.pixel_unshuffle(lr, 4 // scale)))
    ragged = small(torch.rand(1, 3, 5, 7))
    assert ragged.shape == (1, 3, 5 * scale, 7 * scale)
