"""Public state dicts find their backbone, with the settings that their shapes tell."""

import re
from collections import OrderedDict

import pytest
import torch

from blindsr.foreign import checkpoints, state_dicts
from blindsr.model import architecture

VARIANTS = [
    ("rrdb", {"num_blocks": 2, "num_features": 8, "growth": 4}, 4),
    ("rrdb", {"num_blocks": 11, "num_features": 4, "growth": 3}, 4),
    ("rrdb", {"num_blocks": 1, "num_features": 4, "growth": 2}, 2),
    ("rrdb", {"num_blocks": 1, "num_features": 4, "growth": 2}, 1),
    ("srresnet", {"num_blocks": 3, "num_features": 8}, 4),
    ("srresnet", {"num_blocks": 1, "num_features": 8}, 3),
    ("srresnet", {"num_blocks": 1, "num_features": 8}, 2),
    ("msrn", {"num_blocks": 2, "num_features": 8}, 4),
    ("msrn", {"num_blocks": 1, "num_features": 8}, 3),
    ("msrn", {"num_blocks": 1, "num_features": 8}, 2),
    ("swinir", {"depths": [2, 1], "num_heads": [2, 4], "dim": 8, "window_size": 4, "mlp_ratio": 2.0}, 4),
    ("swinir", {"depths": [1], "num_heads": [2], "dim": 8, "window_size": 4, "upsampler": "nearest+conv"}, 2),
    ("swinir", {"depths": [1], "num_heads": [2], "dim": 8, "window_size": 7, "upsampler": "pixelshuffle"}, 4),
    ("swinir", {"depths": [1], "num_heads": [2], "dim": 8, "window_size": 8, "upsampler": "pixelshuffle"}, 2),
    ("swinir", {"depths": [1], "num_heads": [2], "dim": 8, "window_size": 8, "upsampler": "pixelshuffle"}, 3),
]


def network(name, hyper, scale):
    torch.manual_seed(0)
    backbone = architecture.build_backbone(name, hyper, scale).eval()
    for parameter in backbone.parameters():
        parameter.data.normal_(0, 0.1)
    return backbone


def renamed(state, *rules):
    """The state dict with parts of names exchanged, in order."""
    result = OrderedDict()
    for name, value in state.items():
        for old, new in rules:
            name = name.replace(old, new)
        result[name] = value
    return result


@pytest.mark.parametrize(("name", "hyper", "scale"), VARIANTS)
def test_every_variant_is_found_by_its_names_and_shapes(name, hyper, scale):
    original = network(name, hyper, scale)
    found = state_dicts.build(original.state_dict())
    assert not isinstance(found, str), found
    assert (type(found), found.scale, found.training) == (type(original), scale, False)
    lr = torch.rand(1, 3, 16, 13)
    with torch.inference_mode():
        assert torch.equal(found(lr), original(lr))


@pytest.mark.parametrize("scale", [2, 1])
def test_rrdb_for_smaller_scales_is_that_of_spandrel(spandrel, scale):
    """Real ×2 weights of Real-ESRGAN have this form.

    Odd sizes are extended by reflection; ours are cropped before the last convolution, theirs after it, so that the
    last row and column differ.
    """
    state = network("rrdb", {"num_blocks": 1, "num_features": 8, "growth": 32}, scale).state_dict()
    found = state_dicts.build(state)
    theirs = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(state))
    assert theirs.scale == found.scale == scale
    lr = torch.rand(1, 3, 16, 12, generator=torch.manual_seed(2))
    with torch.inference_mode():
        assert torch.allclose(found(lr), theirs.model.eval()(lr), atol=1e-5)
        odd = found(lr[..., :15, :11])
        assert odd.shape == (1, 3, 15 * scale, 11 * scale)
        inside = theirs.model.eval()(lr[..., :15, :11])[..., :-1, :-1]
        assert torch.allclose(odd[..., :-1, :-1], inside, atol=1e-5)


def test_swinir_for_x2_with_nearest_upsampling():
    nearest = network(*VARIANTS[10]).state_dict()
    halved = {name: value for name, value in nearest.items() if not name.startswith("conv_up2")}
    found = state_dicts.build(halved)
    assert found.scale == 2
    assert found(torch.rand(1, 3, 9, 8)).shape == (1, 3, 18, 16)


RRDB = VARIANTS[0]
MMSR = [
    ("conv_body", "trunk_conv"),
    ("body.", "RRDB_trunk."),
    (".rdb", ".RDB"),
    ("conv_up", "upconv"),
    ("conv_hr", "HRconv"),
]


def numbered(state, blocks):
    """The names of ESRGAN's first release: layers by their places in nested nn.Sequential."""
    ends = {
        "conv_first": "model.0",
        "conv_body": f"model.1.sub.{blocks}",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
    }
    ends |= {"conv_hr": "model.8", "conv_last": "model.10"}
    result = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "body":
            place = f"model.1.sub.{parts[1]}.{parts[2].upper()}.{parts[3]}.0.{parts[4]}"
        else:
            place = f"{ends[parts[0]]}.{parts[1]}"
        result[place] = value
    return result


@pytest.mark.parametrize("older", ["mmsr", "numbered"])
def test_older_names_of_esrgan_load(older, tmp_path):
    """Also from a file: what begins like a wrapper ("model.") may be the names themselves."""
    original = network(*RRDB)
    state = original.state_dict()
    old = renamed(state, *MMSR) if older == "mmsr" else numbered(state, RRDB[1]["num_blocks"])
    assert not set(old) & (
        set(state) - {"conv_first.weight", "conv_first.bias", "conv_last.weight", "conv_last.bias"}
    )
    found = state_dicts.build(old)
    assert not isinstance(found, str), found
    lr = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        assert torch.equal(found(lr), original(lr))
    torch.save({"params": old}, tmp_path / "old.pth")
    loaded, scale = checkpoints.read(tmp_path / "old.pth")
    assert scale == 4
    with torch.inference_mode():
        assert torch.equal(loaded(lr), original(lr))


def test_older_names_of_msrresnet_load():
    original = network("srresnet", {"num_blocks": 2, "num_features": 8}, 4)
    old = renamed(original.state_dict(), ("body.", "recon_trunk."), ("conv_hr", "HRconv"))
    found = state_dicts.build(old)
    assert not isinstance(found, str), found
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), original.parameters(), strict=True))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("conv_hr.bias"), r"looks like rrdb, but does not fit: .*conv_hr\.bias"),
        (lambda s: s.pop("conv_first.weight"), r"looks like rrdb, but does not fit: .*conv_first\.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), r"looks like rrdb, but does not fit: .*extra"),
        (
            lambda s: s.update({"conv_first.weight": torch.zeros(8, 5, 3, 3)}),
            r"looks like rrdb.*conv_first takes 5 channels",
        ),
        (lambda s: s.update({"conv_first.weight": torch.zeros(())}), "looks like rrdb, but does not fit"),
        (lambda s: s.clear(), "parameters .nothing, …. are those of no backbone"),
    ],
)
def test_what_almost_fits_is_one_line(change, says):
    state = dict(network(*RRDB).state_dict())
    change(state)
    reason = state_dicts.build(state)
    assert isinstance(reason, str)
    assert "\n" not in reason
    assert re.search(says, reason), reason


def test_what_does_not_fit_at_all_is_no_list_of_all_its_names():
    state = dict(network(*RRDB).state_dict()) | {f"layer.{number}.weight": torch.zeros(1) for number in range(100)}
    assert "layer.0.weight" in state_dicts.build(state)
    assert len(state_dicts.build(state)) < 250


def test_another_network_is_not_taken_for_ours(real_data):
    state = torch.load(real_data / "weights" / "squeeze.backbone.pth", weights_only=True)
    assert "no backbone here" in state_dicts.build(state)


def test_a_full_rrdb_of_23_blocks_is_found():
    full = architecture.build_backbone("rrdb", {}, 4).state_dict()
    found = state_dicts.build(full)
    assert not isinstance(found, str)
    assert architecture.count_parameters(found) == 16_697_987


def test_a_state_that_asks_for_a_larger_network_than_it_is_builds_none():
    state = {f"body.{number}.conv1.weight": torch.zeros(0) for number in range(200)}
    state["conv_first.weight"] = torch.zeros(4096, 0)  # 200 blocks of 4,096 features would take 240 GB
    state["upconv1.weight"] = torch.zeros(4 * 4096, 0)
    assert "more parameters than the 0 numbers that are there" in str(state_dicts.build(state))


def test_a_window_that_would_take_all_memory_is_refused():
    state = dict(network("swinir", {"depths": [1], "num_heads": [1], "dim": 2, "window_size": 4}, 4).state_dict())
    table = "layers.0.residual_group.blocks.0.attn.relative_position_bias_table"
    state[table] = torch.zeros((2 * 256 - 1) ** 2, 1)
    assert "window_size must be at most 64, not 256" in str(state_dicts.build(state))
