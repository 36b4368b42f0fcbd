"""Reading and changing layers by their names."""

import pytest
import torch
from torch import Tensor, nn

from blindsr.model import taps
from blindsr.model.taps import Taps
from blindsr.runtime.errors import UserError


class Chain(nn.Module):
    """x -> 2x -> 2x + 1 -> 3(2x + 1), by three layers of one weight each."""

    last = "end"
    blocks = ("twice", "increase")

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.increase, self.end = Scale(2.0), Shift(1.0), Scale(3.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.increase(self.twice(x)))


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class Shift(Scale):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.factor


def test_inputs_and_outputs_by_every_kind_of_name() -> None:
    names = ["last", "last:output", "blocks.0", "blocks.1", "blocks.-1:output", "twice:output"]
    out, seen = taps.read(Chain(), torch.tensor([5.0]), names)
    assert out == 33
    assert {name: seen[name].item() for name in names} == {
        "last": 11,
        "last:output": 33,
        "blocks.0": 5,
        "blocks.1": 10,
        "blocks.-1:output": 11,
        "twice:output": 10,
    }


def test_what_is_changed_goes_on_and_what_is_seen_is_before() -> None:
    chain = Chain()
    with Taps(
        chain, ["blocks.1", "last:output"], lambda name, x: x + (100 if name == "last:output" else 1)
    ) as tapped:
        assert chain(torch.tensor([5.0])) == 3 * (11 + 1) + 100
        assert {name: x.item() for name, x in tapped.seen.items()} == {"blocks.1": 10, "last:output": 36}
    assert chain(torch.tensor([5.0])) == 33
    assert not tapped.active


def test_hooks_go_after_an_error() -> None:
    chain = Chain()
    with pytest.raises(RuntimeError, match="a test"), Taps(chain, ["last"]):
        raise RuntimeError("a test")
    assert not chain.end._forward_pre_hooks


def test_gradients_pass_what_was_seen() -> None:
    x = torch.tensor([5.0], requires_grad=True)
    out, seen = taps.read(Chain(), x)
    assert torch.autograd.grad(out, seen["last"], retain_graph=True)[0] == 3
    assert torch.autograd.grad(seen["last"], x)[0] == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("blocks.2", "there is no layer blocks.2: the network has 2 blocks"),
        ("blocks.-3", "there is no layer blocks.-3: the network has 2 blocks"),
        ("blocks.first", "there is no layer blocks.first"),
        (
            "nothing",
            "the network has no layer 'nothing': choose last, blocks.0 … or one of its modules, such as twice",
        ),
    ],
)
def test_unknown_names_are_one_line(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Taps(Chain(), [name])


def test_a_network_that_names_nothing_has_no_last_layer() -> None:
    with pytest.raises(UserError, match=r"no layer 'last': .* such as none at all"):
        taps.resolve(nn.Identity(), "last")
