"""Every backbone with every regularizer: contract, training, weights on disk."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from blindsr.config import conf, registry
from blindsr.model import networks, weight_files
from blindsr.model.network import Network, build_regularizer
from blindsr.model.weight_files import WeightsInfo
from blindsr.plugins.backbones.base import Backbone
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
REDUCED = {
    name: conf.compose(ROOT / "conf", [f"backbone={name}"])["backbone"]["hyper"][name]
    for name in registry.names("backbone")
    if name != "bicubic"
}


def info(backbone: str, regularizer: str = "none") -> WeightsInfo:
    return WeightsInfo(
        backbone=backbone, hyper=REDUCED[backbone], scale=4, regularizer=regularizer, seed=0, iterations=2, run="x"
    )


def build(backbone: str) -> Backbone:
    torch.manual_seed(0)
    return networks.build_backbone(backbone, REDUCED[backbone], 4)


@pytest.mark.parametrize("regularizer", registry.names("regularizer"))
@pytest.mark.parametrize("backbone", REDUCED)
def test_every_pair_trains_two_iterations_and_round_trips(backbone: str, regularizer: str, tmp_path: Path) -> None:
    network = Network(build(backbone), build_regularizer(regularizer, {})).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    lr, hr = torch.rand(2 * network.views, 3, 8, 8), torch.rand(2, 3, 32, 32)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for _ in range(2):
        prediction = network(lr)
        assert prediction.sr.shape == (2 * network.views, 3, 32, 32)
        loss = (prediction.sr - hr.repeat(network.views, 1, 1, 1)).abs().mean() + prediction.penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss)
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))

    path = tmp_path / "weights.safetensors"
    weight_files.save(network.backbone, info(backbone, regularizer), path)
    loaded, described = weight_files.load(path)
    assert described == info(backbone, regularizer)
    assert not loaded.training
    network.eval()
    with torch.inference_mode():
        assert torch.equal(loaded(lr), network.backbone(lr))


@pytest.mark.parametrize("backbone", REDUCED)
def test_the_same_weights_are_the_same_bytes(backbone: str, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        weight_files.save(build(backbone), info(backbone), tmp_path / name / "w.safetensors")
        digests.add(hashlib.sha256((tmp_path / name / "w.safetensors").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_two_views_are_aligned_with_each_other_and_one_is_not() -> None:
    lr = torch.rand(4, 3, 8, 8)
    network = Network(build("srresnet"), build_regularizer("brute_force", {}))
    prediction = network(lr)
    expected = (prediction.features[:2] - prediction.features[2:]).square().mean()
    torch.testing.assert_close(prediction.penalty, expected)
    assert network(torch.cat([lr[:2], lr[:2]])).penalty == 0
    assert Network(build("srresnet"), build_regularizer("none", {}))(lr).penalty == 0


def test_dropout_acts_before_the_last_convolution_while_training_only() -> None:
    network = Network(build("srresnet"), build_regularizer("dropout", {"rate": 0.5}))
    lr = torch.rand(2, 3, 8, 8)
    network.eval()
    assert torch.equal(network(lr).sr, network.backbone(lr))
    network.train()
    torch.manual_seed(0)
    dropped = network(lr)
    torch.manual_seed(0)
    masked = torch.nn.functional.dropout2d(dropped.features, 0.5)
    assert torch.equal(dropped.sr, network.backbone.reconstruct(masked, lr))


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
        backbone = networks.build_backbone(name, full, 4)
    assert networks.count_parameters(backbone) == pytest.approx(parameters, rel=5e-4)
    assert networks.count_flops(backbone, 32, 32) / 1e9 == pytest.approx(gflop, rel=2e-3)


def test_settings_that_build_refuses_are_one_line() -> None:
    with pytest.raises(UserError, match="backbone 'srresnet': num_blocks"):
        networks.build_backbone("srresnet", {"num_blocks": 0}, 4)
    with pytest.raises(UserError, match="regularizer 'dropout': rate"):
        build_regularizer("dropout", {"rate": 1.5})


def test_a_missing_damaged_or_foreign_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(UserError, match="is missing: run `dvc repro`"):
        weight_files.load(path)
    weight_files.save(build("srresnet"), info("srresnet"), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(UserError, match="holds no weights of this project"):
        weight_files.load(path)
    weight_files.save(build("srresnet"), info("rrdb"), path)
    with pytest.raises(UserError, match="does not fit rrdb"):
        weight_files.load(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state, about: (state, {"regularizer": "rff"}), "holds no weights of this project"),
        (lambda state, about: (state, about | {"backbone": "nope"}), "unknown backbone 'nope'"),
        (lambda state, about: (state, about | {"hyper": {"depth": 1}}), "unexpected keyword argument 'depth'"),
        (lambda state, about: ({k: (9 * v).to(torch.int8) for k, v in state.items()}, about), "as int8: convert"),
        (lambda state, about: ({k: v[:1].contiguous() for k, v in state.items()}, about), "does not fit srresnet"),
        (lambda state, about: (dict(list(state.items())[1:]), about), "does not fit srresnet"),
    ],
    ids=["half a description", "backbone", "settings", "numbers", "shapes", "names"],
)
def test_weights_that_do_not_fit_their_description_are_one_line_with_the_file(
    tmp_path: Path, change: Callable[..., Any], says: str
) -> None:
    state, about = change(build("srresnet").state_dict(), info("srresnet").model_dump())
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(state, path, {weight_files.KEY: json.dumps(about)})
    with pytest.raises(UserError) as caught:
        weight_files.load(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    state = {name: value.half() for name, value in build("srresnet").state_dict().items()}
    about = {weight_files.KEY: json.dumps(info("srresnet").model_dump())}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors", about)
    loaded, _ = weight_files.load(tmp_path / "w.safetensors")
    assert all(torch.equal(value, state[name].float()) for name, value in loaded.state_dict().items())
