"""SwinIR: sizes and names of the public network, windows, masks and padding, and answers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.model import architecture
from blindsr.plugins.backbones import base, swinir
from steps import features_of

TINY = {"depths": [2, 1], "num_heads": [2, 1], "dim": 4, "window_size": 4}


def numbered(height, width):
    """Tokens (1, height, width, 1) that hold their own position, row by row."""
    return torch.arange(height * width).view(1, height, width, 1)


@pytest.mark.parametrize(
    ("upsampler", "parameters", "flops"),
    [("nearest+conv", 11_715_559, 27_986_190_336), ("pixelshuffle", 11_900_199, 26_778_230_784)],
)
def test_size_and_cost(upsampler, parameters, flops):
    """Two operations per multiply-add, attention included; per LR pixel, 4 and 16 upsampled ones."""
    with torch.device("meta"):
        network = swinir.build(upsampler=upsampler)
    d, square, n = 180, 180 * 180, 64
    linear = 3 * square + square + 2 * 2 * square
    norms_and_table = 4 * d + 15 * 15 * 6
    block = linear + (3 * d + d + 2 * d + d) + norms_and_table
    body = 36 * block + 7 * (9 * square + d) + 2 * 2 * d
    nearest = upsampler == "nearest+conv"
    widths = [n, n, n] if nearest else [4 * n, 4 * n]
    ends = (9 * 3 + 1) * d + (9 * d + 1) * n + sum((9 * n + 1) * width for width in widths) + (9 * n + 1) * 3
    assert architecture.count_parameters(network) == body + ends == parameters
    attention = 2 * 64 * d  # each token meets the 64 of its window, twice
    upsampling = 9 * n * n * (4 + 16 + 16) if nearest else 9 * n * 4 * n * (1 + 4)
    per_pixel = 36 * (linear + attention) + 7 * 9 * square + 9 * 3 * d + 9 * d * n + upsampling + 16 * 9 * n * 3
    assert architecture.count_flops(network, 32, 32) == 2 * 32 * 32 * per_pixel == flops


@pytest.mark.parametrize(
    ("upsampler", "scale", "tail"),
    [
        ("nearest+conv", 4, {"conv_up1": 64, "conv_up2": 64, "conv_hr": 64}),
        ("nearest+conv", 2, {"conv_up1": 64, "conv_hr": 64}),
        ("pixelshuffle", 4, {"upsample.0": 256, "upsample.2": 256}),
        ("pixelshuffle", 3, {"upsample.0": 576}),
        ("pixelshuffle", 2, {"upsample.0": 256}),
    ],
)
def test_names_and_shapes_of_the_public_checkpoints(upsampler, scale, tail):
    expected = {}

    def layer(name, *shape):
        expected.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    layer("conv_first", 12, 3, 3, 3)
    layer("patch_embed.norm", 12)
    for group, (depth, heads) in enumerate([(2, 3), (1, 2)]):
        for i in range(depth):
            block = f"layers.{group}.residual_group.blocks.{i}"
            layer(f"{block}.norm1", 12)
            layer(f"{block}.attn.qkv", 36, 12)
            layer(f"{block}.attn.proj", 12, 12)
            layer(f"{block}.norm2", 12)
            layer(f"{block}.mlp.fc1", 24, 12)
            layer(f"{block}.mlp.fc2", 12, 24)
            expected[f"{block}.attn.relative_position_bias_table"] = (49, heads)
            expected[f"{block}.attn.relative_position_index"] = (16, 16)
        layer(f"layers.{group}.conv", 12, 12, 3, 3)
    layer("norm", 12)
    layer("conv_after_body", 12, 12, 3, 3)
    layer("conv_before_upsample.0", 64, 12, 3, 3)
    for name, width in tail.items():
        layer(name, width, 64, 3, 3)
    layer("conv_last", 3, 64, 3, 3)
    network = swinir.build(scale=scale, depths=[2, 1], num_heads=[3, 2], dim=12, window_size=4, upsampler=upsampler)
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected
    assert network(torch.zeros(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)


def test_masks_of_public_checkpoints_are_ignored_and_nothing_else():
    a, b = swinir.build(**TINY), swinir.build(**TINY)
    state = a.state_dict()
    public = {**state, "layers.0.residual_group.blocks.1.attn_mask": torch.zeros(256, 16, 16)}
    assert str(b.load_state_dict(public, strict=True)) == "<All keys matched successfully>"
    assert "layers.0.residual_group.blocks.1.attn_mask" in public
    lr = torch.rand(1, 3, 8, 8)
    assert torch.equal(a(lr), b(lr))
    with pytest.raises(RuntimeError, match="attn_maks"):
        b.load_state_dict({**state, "layers.0.residual_group.blocks.1.attn_maks": torch.zeros(1)})
    del state["layers.1.conv.bias"]
    with pytest.raises(RuntimeError, match=r"layers\.1\.conv\.bias"):
        b.load_state_dict(state)


def test_initialization_of_the_public_code():
    torch.manual_seed(0)
    network = swinir.build(depths=[1], num_heads=[6])
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.02)
            assert not module.bias.any()
    table = network.layers[0].residual_group.blocks[0].attn.relative_position_bias_table
    assert table.std().item() == pytest.approx(0.02, rel=0.1)
    assert network.conv_last.bias.any()


def test_every_other_block_is_shifted_by_half_a_window():
    blocks = swinir.build(depths=[4], num_heads=[1], dim=4, window_size=8).layers[0].residual_group.blocks
    assert [block.shift for block in blocks] == [0, 4, 0, 4]


def test_windows_by_hand():
    windows = swinir.to_windows(numbered(4, 4), 2)
    assert windows[0, :, :, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


@settings(deadline=None, max_examples=20)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), window=st.integers(1, 5), batch=st.integers(1, 3))
def test_windows_round_trip(rows, columns, window, batch):
    tokens = torch.rand(batch, rows * window, columns * window, 3)
    windows = swinir.to_windows(tokens, window)
    assert windows.shape == (batch, rows * columns, window**2, 3)
    assert torch.equal(swinir.from_windows(windows, window, rows * window, columns * window), tokens)


def test_relative_positions_by_hand():
    """Token (0, 0) sees (0, 1) one to its right: offset (0, -1), row (0 + 1) · 3 + (-1 + 1) = 3."""
    expected = [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    assert swinir.relative_position_index(2).tolist() == expected


def test_mask_separates_exactly_what_was_not_adjacent():
    """Two tokens of a shifted window may meet if they are less than a window apart in the image."""
    height, width, window = 8, 12, 4
    mask = swinir.shift_mask(height, width, window, torch.zeros(()))
    shifted = numbered(height, width).roll((-2, -2), (1, 2))
    windows = swinir.to_windows(shifted, window)[0, :, :, 0]
    assert mask.shape == (len(windows), 1, 16, 16)
    near = [
        [all(abs(a - b) < window for a, b in ((p // width, q // width), (p % width, q % width))) for q in row]
        for row in windows.tolist()
        for p in row
    ]
    assert torch.equal(mask.view(-1, 16) == 0, torch.tensor(near))
    assert set(mask.unique().tolist()) == {-math.inf, 0.0}


def test_mask_follows_type_and_small_images():
    mask = swinir.shift_mask(4, 4, 4, torch.zeros((), dtype=torch.float64))
    assert mask.dtype == torch.float64
    assert (mask == 0).sum().item() == 4 * 4 * 4  # four quarters of four tokens, which see their own only
    assert not swinir.shift_mask(3, 2, 1, torch.zeros(())).any()


@pytest.mark.parametrize(
    ("index", "pixel", "reached"),
    [
        (0, (15, 15), (8, 16, 8, 16)),
        (0, (7, 8), (0, 8, 8, 16)),
        (1, (15, 15), (12, 16, 12, 16)),
        (1, (0, 0), (0, 4, 0, 4)),
        (1, (0, 8), (0, 4, 4, 12)),
        (1, (5, 11), (4, 12, 4, 12)),
        (1, (6, 14), (4, 12, 12, 16)),
    ],
)
def test_a_pixel_reaches_its_window_and_nothing_across_the_border(index, pixel, reached):
    torch.manual_seed(0)
    network = swinir.build(depths=[2], num_heads=[2], dim=4, window_size=8).double()
    block = network.layers[0].residual_group.blocks[index]
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_()
    tokens = torch.randn(1, 16, 16, 4, dtype=torch.float64)
    mask = swinir.shift_mask(16, 16, 8, tokens)
    changed = tokens.clone()
    changed[0, pixel[0], pixel[1]] += torch.tensor([1.0, -1, 2, 0])
    difference = (block(tokens, mask) != block(changed, mask))[0].any(-1)
    expected = torch.zeros(16, 16, dtype=torch.bool)
    top, bottom, left, right = reached
    expected[top:bottom, left:right] = True
    assert torch.equal(difference, expected)


def test_attention_against_a_loop():
    torch.manual_seed(0)
    attention = swinir.build(**TINY).layers[0].residual_group.blocks[1].attn.double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_()
    windows = torch.randn(2, 4, 16, 4, dtype=torch.float64)
    mask = swinir.shift_mask(8, 8, 4, windows)
    result = attention(windows, mask)
    weight, bias = (value.detach().numpy() for value in (attention.qkv.weight, attention.qkv.bias))
    table = attention.relative_position_bias_table.detach().numpy()
    for image, window in ((0, 0), (1, 1), (1, 3)):
        x = windows[image, window].numpy()
        query, key, value = ((x @ weight.T + bias)[:, 4 * i : 4 * i + 4] for i in range(3))
        joined = np.zeros((16, 4))
        for head in range(2):
            own = slice(2 * head, 2 * head + 2)
            for i in range(16):
                logits = np.full(16, -np.inf)
                for j in range(16):
                    if mask[window, 0, i, j] == 0:
                        offset = (i // 4 - j // 4 + 3) * 7 + (i % 4 - j % 4 + 3)
                        logits[j] = query[i, own] @ key[j, own] / math.sqrt(2) + table[offset, head]
                odds = np.exp(logits - logits.max())
                joined[i, own] = odds / odds.sum() @ value[:, own]
        expected = joined @ attention.proj.weight.detach().numpy().T + attention.proj.bias.detach().numpy()
        np.testing.assert_allclose(result[image, window].detach().numpy(), expected, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 20), width=st.integers(1, 20), window=st.integers(1, 9))
def test_padding_is_numpys_reflection(height, width, window):
    image = torch.rand(1, 2, height, width)
    extra = [(0, 0), (0, 0), (0, -height % window), (0, -width % window)]
    expected = np.pad(image.numpy(), extra, mode="reflect")
    np.testing.assert_array_equal(base.pad_to_multiple(image, window).numpy(), expected)


def test_padding_by_hand():
    image = torch.tensor([1.0, 2, 3]).view(1, 1, 1, 3)
    assert base.pad_to_multiple(image, 8)[0, 0].tolist() == [[1, 2, 3, 2, 1, 2, 3, 2]] * 8


@pytest.mark.parametrize("upsampler", ["nearest+conv", "pixelshuffle"])
def test_features_of_a_ragged_image_are_those_of_the_padded_one_cropped(upsampler):
    torch.manual_seed(0)
    network = swinir.build(**TINY, upsampler=upsampler)
    lr = torch.rand(1, 3, 6, 3)
    padded = features_of(network, base.pad_to_multiple(lr, 4))
    assert padded.shape == (1, 64, 32, 16)
    assert torch.equal(features_of(network, lr), padded[..., :24, :12])


def zeroed(**settings):
    network = swinir.build(**TINY, **settings)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    return network


def test_a_silent_network_answers_with_the_mean_colour():
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    assert torch.equal(zeroed()(torch.rand(1, 3, 5, 4)), mean.expand(1, 3, 20, 16))


def test_activations_after_the_transformer_by_hand():
    """Slopes 0.01, then 0.2 three times: -1000 → -10 → -2 → -0.4 → -0.08."""
    network = zeroed()
    with torch.no_grad():
        network.conv_before_upsample[0].bias.fill_(-1000)
        for name in ("conv_up1", "conv_up2", "conv_hr"):
            network.get_submodule(name).weight[:, :, 1, 1] = torch.eye(64)
    torch.testing.assert_close(features_of(network, torch.rand(1, 3, 4, 4)), torch.full((1, 64, 16, 16), -0.08))


def test_identity_convolutions_upsample_by_nearest_neighbour():
    network = zeroed()
    with torch.no_grad():
        network.conv_first.weight[:3, :, 1, 1] = torch.eye(3)
        network.conv_before_upsample[0].weight[:3, :3, 1, 1] = torch.eye(3)
        for name in ("conv_up1", "conv_up2", "conv_hr", "conv_last"):
            network.get_submodule(name).weight[:3, :3, 1, 1] = torch.eye(3)
    lr = 0.5 + 0.5 * torch.rand(1, 3, 3, 5)
    torch.testing.assert_close(network(lr), lr.repeat_interleave(4, 2).repeat_interleave(4, 3))


def test_a_block_by_hand():
    """Normalization gives 1 and -1; GELU makes of them 0.841345 and -0.158655, and attention adds 3."""
    block = zeroed().layers[0].residual_group.blocks[0]
    with torch.no_grad():
        block.attn.proj.bias.fill_(3)
        block.norm2.bias.copy_(torch.tensor([1.0, -1, 1, -1]))
        block.mlp["fc1"].weight[:4] = torch.eye(4)
        block.mlp["fc2"].weight[:, :4] = torch.eye(4)
    tokens = torch.rand(1, 4, 4, 4)
    added = 3 + torch.tensor([0.8413447, -0.1586553, 0.8413447, -0.1586553])
    torch.testing.assert_close(block(tokens, torch.zeros(1, 1, 16, 16)), tokens + added)


def test_pixel_shuffle_upsampler_is_bare():
    network = zeroed(upsampler="pixelshuffle")
    with torch.no_grad():
        network.conv_before_upsample[0].bias.fill_(-1000)
        for i in (0, 2):
            network.upsample[i].weight[:, :, 1, 1] = torch.eye(64).repeat_interleave(4, 0)
    torch.testing.assert_close(features_of(network, torch.rand(1, 3, 4, 4)), torch.full((1, 64, 16, 16), -10.0))


def test_shortcuts_around_groups_and_body():
    """With silent blocks the groups pass their input on, which the last normalization then sees."""
    torch.manual_seed(0)
    network = swinir.build(**TINY)
    for group in network.layers:
        for parameter in group.parameters():
            torch.nn.init.zeros_(parameter)
    seen = []
    network.conv_after_body.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
    network.conv_before_upsample.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    lr = torch.rand(1, 3, 4, 4)
    network(lr)
    first = network.conv_first(lr - network.mean)
    normal = torch.nn.functional.layer_norm(first.permute(0, 2, 3, 1), (4,))
    normal = torch.nn.functional.layer_norm(normal, (4,)).permute(0, 3, 1, 2)
    (entered, left), upsampled = seen
    torch.testing.assert_close(entered, normal)
    torch.testing.assert_close(upsampled, first + left)


def test_lists_and_tuples_are_both_taken():
    a, b = (swinir.build(depths=kind([1, 2]), num_heads=kind([1, 2]), dim=4) for kind in (list, tuple))
    assert a.state_dict().keys() == b.state_dict().keys()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"upsampler": "bicubic"}, r"upsampler must be 'nearest\+conv' or 'pixelshuffle', not 'bicubic'"),
        ({"scale": 3}, "scale must be one of 2, 4, not 3"),
        ({"scale": 8, "upsampler": "pixelshuffle"}, "scale must be one of 2, 3, 4, not 8"),
        ({"dim": 100}, "dim must be a multiple of num_heads, not 100 with 6 heads"),
        ({"depths": [6] * 5}, "depths and num_heads must be of one length, not 5 and 6"),
        ({"depths": []}, "depths must be a list of whole numbers"),
        ({"depths": 6}, "depths must be a list of whole numbers, one per group, not 6"),
        ({"depths": [6, 6, 0, 6, 6, 6]}, r"depths\[2\] must be a whole number >= 1, not 0"),
        ({"num_heads": [6, 6, 6, 6, 6, 1.5]}, r"num_heads\[5\] must be a whole number >= 1, not 1.5"),
        ({"num_heads": "666666"}, "num_heads must be a list"),
        ({"mlp_ratio": 0.001}, "mlp_ratio must be a finite number >= 1 / dim, not 0.001"),
        ({"mlp_ratio": math.nan}, "mlp_ratio"),
        ({"mlp_ratio": math.inf}, "mlp_ratio"),
        ({"window_size": 2.0}, "window_size must be a whole number"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        swinir.build(**wrong)
