"""MSRN: sizes and names of the published network, its checkpoints in [0, 255], and answers worked out by hand."""

import pytest
import torch
import torch.nn.functional as F

from blindsr.model import architecture
from blindsr.plugins.backbones import msrn
from steps import features_of

MEAN = torch.tensor([0.4488, 0.4371, 0.4040])


def zeroed(**settings):
    network = msrn.build(**settings)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    return network


def described(blocks, n, upsampling):
    """Names and shapes of a checkpoint of the published code, whose colour shifts are 1×1 convolutions."""
    convolutions = {"sub_mean": (3, 3, 1), "add_mean": (3, 3, 1), "head.0": (3, n, 3)}
    for i in range(blocks):
        convolutions |= {
            f"body.{i}.conv_3_1": (n, n, 3),
            f"body.{i}.conv_3_2": (2 * n, 2 * n, 3),
            f"body.{i}.conv_5_1": (n, n, 5),
            f"body.{i}.conv_5_2": (2 * n, 2 * n, 5),
            f"body.{i}.confusion": (4 * n, n, 1),
        }
    convolutions |= {"tail.0": ((blocks + 1) * n, n, 1), "tail.1": (n, n, 3), "tail.3": (n, 3, 3)}
    convolutions |= {f"tail.2.{2 * i}": (n, factor**2 * n, 3) for i, factor in enumerate(upsampling)}
    shapes = {}
    for name, (fan_in, fan_out, side) in convolutions.items():
        shapes |= {f"{name}.weight": (fan_out, fan_in, side, side), f"{name}.bias": (fan_out,)}
    return shapes


def published(blocks=2, n=4, trained_shifts=False):
    """A random float64 checkpoint for ×4 in [0, 255]; the matrices of the colour shifts may have been trained."""
    generator = torch.Generator().manual_seed(0)
    state = {
        name: 0.3 * torch.randn(shape, generator=generator).double()
        for name, shape in described(blocks, n, (2, 2)).items()
    }
    for layer, sign in (("sub_mean", -1), ("add_mean", 1)):
        state[f"{layer}.weight"] = torch.eye(3).double().view(3, 3, 1, 1)
        state[f"{layer}.bias"] = sign * 255 * MEAN.double()
        if trained_shifts:
            state[f"{layer}.weight"] += 0.05 * torch.randn(3, 3, 1, 1, generator=generator).double()
            state[f"{layer}.bias"] += torch.randn(3, generator=generator).double()
    return state


def published_forward(state, x, blocks=2):
    """The published network on RGB in [0, 255], straight from its description."""

    def convolve(name, x):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    x = head = convolve("head.0", convolve("sub_mean", x))
    outputs = []
    for i in range(blocks):
        three, five = (convolve(f"body.{i}.conv_{side}_1", x).relu() for side in (3, 5))
        both = torch.cat([three, five], 1)
        three, five = (convolve(f"body.{i}.conv_{side}_2", both).relu() for side in (3, 5))
        x = convolve(f"body.{i}.confusion", torch.cat([three, five], 1)) + x
        outputs.append(x)
    x = convolve("tail.1", convolve("tail.0", torch.cat([*outputs, head], 1)))
    for name in ("tail.2.0", "tail.2.2"):
        x = F.pixel_shuffle(convolve(name, x), 2)
    return convolve("add_mean", convolve("tail.3", x))


def test_size_and_cost():
    """Two operations per multiply-add; per LR pixel, 4 and 16 upsampled ones. The colour shifts are no parameters."""
    with torch.device("meta"):
        network = msrn.build()
    n, square = 64, 64 * 64
    block = (9 + 25) * square + (9 + 25) * 4 * square + 4 * square
    weights = 9 * 3 * n + 8 * block + 9 * square + 9 * square + 2 * 9 * 4 * square + 9 * 3 * n
    biases = n + 8 * (2 * n + 2 * 2 * n + n) + 2 * n + 2 * 4 * n + 3
    assert architecture.count_parameters(network) == weights + biases == 6_078_019
    per_pixel = 9 * 3 * n + 8 * block + 2 * 9 * square + (1 + 4) * 9 * 4 * square + 16 * 9 * 3 * n
    assert architecture.count_flops(network, 32, 32) == 2 * 32 * 32 * per_pixel == 13_398_048_768


@pytest.mark.parametrize(("scale", "upsampling"), [(2, (2,)), (3, (3,)), (4, (2, 2))])
def test_names_and_shapes_of_the_public_checkpoints(scale, upsampling):
    network = msrn.build(scale=scale, num_blocks=3, num_features=6)
    state = network.state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == described(3, 6, upsampling)
    assert network(torch.zeros(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("trained_shifts", [False, True])
def test_published_weights_keep_their_function_on_the_unit_range(trained_shifts):
    state = published(trained_shifts=trained_shifts)
    kept = {key: value.clone() for key, value in state.items()}
    network = msrn.build(num_blocks=2, num_features=4).double()
    network.load_state_dict(state)
    assert all(torch.equal(state[key], kept[key]) for key in kept)
    lr = torch.rand(2, 3, 6, 9, generator=torch.Generator().manual_seed(1)).double()
    expected = published_forward(state, 255 * lr) / 255
    torch.testing.assert_close(network(lr), expected, rtol=1e-10, atol=1e-10)
    again = msrn.build(num_blocks=2, num_features=4).double()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(lr), network(lr))


def test_weights_of_the_unit_range_are_loaded_as_they_are():
    a, b = (msrn.build(num_blocks=1, num_features=4) for _ in range(2))
    b.load_state_dict(a.state_dict())
    assert all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items())


def test_an_incomplete_checkpoint_is_refused():
    network = msrn.build(num_blocks=2, num_features=4)
    for key in ("sub_mean.weight", "tail.3.bias", "body.1.conv_5_2.weight"):
        state = published()
        del state[key]
        with pytest.raises(RuntimeError, match=key):
            network.load_state_dict(state)


def test_a_silent_network_answers_with_the_mean_colour():
    sr = zeroed(num_blocks=1, num_features=2)(torch.rand(1, 3, 2, 3))
    assert torch.equal(sr, MEAN.view(1, 3, 1, 1).expand(1, 3, 8, 12))


def test_a_block_by_hand():
    """First branches 1 and relu(-1) = 0; second ones [1, 0] and, crossed, [0, 1]; fused 1·1 + 4·1 + 0.5."""
    block = zeroed(num_blocks=1, num_features=1).body[0]
    with torch.no_grad():
        block.conv_3_1.bias.fill_(1)
        block.conv_5_1.bias.fill_(-1)
        block.conv_3_2.weight[:, :, 1, 1] = torch.eye(2)
        block.conv_5_2.weight[:, :, 2, 2] = torch.eye(2).flip(0)
        block.confusion.weight.copy_(torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1))
        block.confusion.bias.fill_(0.5)
    x = torch.rand(1, 1, 4, 3)
    torch.testing.assert_close(block(x), x + 5.5)


def test_fusion_order_and_bare_upsampler_by_hand():
    """The tail gets the blocks' outputs, then the head's: 100 · head + (head - 7), negative values kept."""
    network = zeroed(num_blocks=1, num_features=1)
    with torch.no_grad():
        network.head[0].weight[0, :, 1, 1] = torch.tensor([0, 1.0, 0])
        network.body[0].confusion.bias.fill_(-7)
        network.tail[0].weight.copy_(torch.tensor([1.0, 100]).view(1, 2, 1, 1))
        network.tail[1].weight[:, :, 1, 1] = 1
        network.tail[2][0].weight[:, :, 1, 1] = 1
        network.tail[2][2].weight[:, :, 1, 1] = 1
    lr = torch.rand(1, 3, 3, 2)
    expected = 101 * (lr[:, 1:2] - MEAN[1]) - 7
    upsampled = expected.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert (upsampled < 0).any()
    torch.testing.assert_close(features_of(network, lr), upsampled)


def test_zero_padding_is_of_the_mean_colour():
    network = zeroed(num_blocks=1, num_features=1)
    torch.nn.init.ones_(network.head[0].weight)
    mean = MEAN.view(1, 3, 1, 1).expand(1, 3, 3, 3)
    torch.testing.assert_close(network.head(network.sub_mean(mean)), torch.zeros(1, 1, 3, 3))


@pytest.mark.parametrize("scale", [1, 5, 8])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="scale must be one of 2, 3, 4"):
        msrn.build(scale=scale)
