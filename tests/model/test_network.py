"""A backbone with a regularizer: every regularizer trains, and its hooks act where they should."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from blindsr.config import conf, registry
from blindsr.model import architecture
from blindsr.model.network import Network, build_regularizer
from blindsr.plugins.regularizers.base import Regularizer, Step
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
REDUCED = conf.compose(ROOT / "conf", ["backbone=paper", "profile=embedded"])["backbone"]["hyper"]
# every regularizer on one backbone, and on the others one that penalizes and one that changes features
PAIRS = [("srresnet", name) for name in registry.names("regularizer")]
PAIRS += [(name, reg) for name in REDUCED if name != "srresnet" for reg in ("rff", "dropout")]


def build(backbone: str = "srresnet") -> nn.Module:
    return architecture.build_backbone(backbone, REDUCED[backbone], 4)


def step_for(network: Network, patches: int = 2) -> Step:
    views = network.views
    return Step(torch.rand(patches * views, 3, 8, 8), torch.rand(patches, 3, 32, 32), views)


@pytest.mark.parametrize(("backbone", "regularizer"), PAIRS)
def test_two_iterations_of_training(backbone: str, regularizer: str) -> None:
    network = Network(build(backbone), build_regularizer(regularizer, {})).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for _ in range(2):
        step = step_for(network)
        penalty = network(step)
        assert step.sr.shape == (2 * network.views, 3, 32, 32)
        loss = (step.sr - step.hr.repeat(network.views, 1, 1, 1)).abs().mean() + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss)
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_two_views_are_aligned_with_each_other_and_one_is_not() -> None:
    network = Network(build(), build_regularizer("brute_force", {}))
    step = step_for(network)
    penalty = network(step)
    a, b = step.features["last"].chunk(2)
    torch.testing.assert_close(penalty, (a - b).square().mean())
    same = Step(torch.cat([step.lr[:2], step.lr[:2]]), step.hr, 2)
    assert network(same) == 0
    alone = Network(build(), build_regularizer("none", {}))
    assert alone(step_for(alone)) == 0


def test_dropout_acts_before_the_last_convolution_while_training_only() -> None:
    network = Network(build(), build_regularizer("dropout", {"rate": 0.5}))
    step = step_for(network)
    network.eval()(step)
    assert torch.equal(step.sr, network.backbone(step.lr))
    torch.manual_seed(0)
    network.train()(step)
    torch.manual_seed(0)
    masked = torch.nn.functional.dropout2d(step.features["last"], 0.5)
    base = nn.functional.interpolate(step.lr, scale_factor=4, mode="bilinear", align_corners=False)
    assert torch.equal(step.sr, base + network.backbone.conv_last(masked))


class Everything(Regularizer):
    """Changes the input and two layers, owns a parameter and a teacher, and penalizes three layers of three views."""

    views = 3

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def attach(self, backbone: nn.Module) -> None:
        self.teacher = copy.deepcopy(backbone).requires_grad_(False)

    def layers(self, backbone: nn.Module) -> Sequence[str]:
        return ("blocks.0:output", "blocks.-1", "last")

    def change_input(self, lr: Tensor, step: Step) -> Tensor:
        return 0.5 * lr

    def change_features(self, name: str, x: Tensor, step: Step) -> Tensor:
        return x + 1 if name == "blocks.0:output" else x

    def penalty(self, step: Step) -> Tensor:
        with torch.no_grad():
            wanted = self.teacher(step.lr)
        spread = sum(x.std(0).mean() for x in step.features.values())
        return self.gain.square() * spread + (step.sr - wanted).abs().mean()


def test_a_regularizer_may_change_everything_and_own_parameters() -> None:
    backbone = build()
    network = Network(backbone, Everything())
    step = step_for(network)
    network(step).backward()
    assert list(step.features) == ["blocks.0:output", "blocks.-1", "last"]
    assert network.regularizer.gain.grad is not None
    assert all(parameter.grad is None for parameter in network.regularizer.teacher.parameters())
    # by hand: half of the input, and 1 more behind the first block
    with torch.no_grad():
        x = nn.functional.leaky_relu(backbone.conv_first(0.5 * step.lr), 0.1)
        first = backbone.body[0](x)
        torch.testing.assert_close(step.features["blocks.0:output"], first)
        x = first + 1
        for block in backbone.body[1:-1]:
            x = block(x)
        torch.testing.assert_close(step.features["blocks.-1"], x)


def test_an_unknown_layer_is_one_line() -> None:
    class Lost(Regularizer):
        def layers(self, backbone: nn.Module) -> Sequence[str]:
            return ("conv_nowhere",)

    with pytest.raises(UserError, match="the network has no layer 'conv_nowhere': choose last, blocks.0"):
        Network(build(), Lost())


def compiled(network: Network) -> Network:
    network.backbone.compile(backend="eager", fullgraph=True)
    return network


@pytest.mark.parametrize("change", [compiled, lambda network: network])
@pytest.mark.parametrize("regularizer", ["brute_force", "dropout"])
def test_hooks_that_stay_act_in_every_step(change: Callable[[Network], Network], regularizer: str) -> None:
    """Also where torch.compile has traced them: each step sees its own features."""
    torch.manual_seed(0)
    plain = Network(build(), build_regularizer(regularizer, {})).train()
    other = change(copy.deepcopy(plain))
    with other.taps:
        for seed in range(3):
            torch.manual_seed(seed)
            step = step_for(plain)
            torch.manual_seed(seed + 10)
            wanted = plain(step)
            again = Step(step.lr, step.hr, step.views)
            torch.manual_seed(seed + 10)
            torch.testing.assert_close(other(again), wanted, rtol=1e-5, atol=0)
            torch.testing.assert_close(again.sr, step.sr, rtol=0, atol=1e-6)
            torch.testing.assert_close(again.features["last"], step.features["last"], rtol=0, atol=1e-6)


def test_a_copy_of_the_backbone_has_no_hooks() -> None:
    network = Network(build(), build_regularizer("dropout", {"rate": 0.9})).train()
    network(step_for(network))
    twin = copy.deepcopy(network.backbone)
    lr = torch.rand(1, 3, 8, 8)
    assert torch.equal(twin(lr), network.backbone(lr))
    assert not any(module._forward_pre_hooks for module in twin.modules())
