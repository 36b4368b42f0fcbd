"""The hook that keeps what enters a layer, in plain PyTorch."""

import pytest
import torch
from torch import nn

import blindsr
from blindsr.runtime.errors import UserError


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 12, 3), nn.PixelShuffle(2))


def test_a_hook_keeps_what_enters_a_layer() -> None:
    net, lr = network(), torch.rand(2, 3, 9, 9)
    with blindsr.FeatureHook(net) as hook, blindsr.FeatureHook(net, "0:output") as first:
        assert hook.layer is None
        assert first.layer == "0:output"
        with pytest.raises(UserError, match="run the network first"):
            hook.features  # noqa: B018
        net(lr)
        assert hook.layer == "2"
        torch.testing.assert_close(hook.features, net[1](net[0](lr)))
        torch.testing.assert_close(first.features, net[0](lr))
    with pytest.raises(UserError, match="run the network first"):
        hook.features  # noqa: B018
    hook.close()  # a second time, nothing
    assert not any(layer._forward_pre_hooks or layer._forward_hooks for layer in net)


def test_the_last_convolution_is_the_one_that_works_last() -> None:
    class Reversed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Conv2d(8, 3, 3)  # made first
            self.first = nn.Conv2d(3, 8, 3)

        def forward(self, lr: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(lr).relu())

    net, lr = Reversed(), torch.rand(2, 3, 9, 9)
    with blindsr.FeatureHook(net) as hook:
        sr = net(lr)
        assert hook.layer == "last"
        torch.testing.assert_close(hook.features, net.first(lr).relu())
        hook.features.sum().backward()
    assert net.first.weight.grad is not None
    with blindsr.FeatureHook(net, "last") as named:  # "last" is a name of this project's, too
        net(lr)
        torch.testing.assert_close(named.features, net.first(lr).relu())
    assert sr.shape == (2, 3, 5, 5)


def test_a_hook_says_what_layers_there_are() -> None:
    with pytest.raises(UserError, match="no layer 'conv_lst'"):
        blindsr.FeatureHook(network(), "conv_lst")
    with pytest.raises(UserError, match="no convolution"):
        blindsr.FeatureHook(nn.Linear(2, 2))
