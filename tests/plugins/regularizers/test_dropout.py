import pytest
import torch

from blindsr.plugins.regularizers import dropout
from steps import changed

FEATURES = torch.ones(64, 32, 4, 4)


def test_zeroes_whole_channels_and_scales_the_others() -> None:
    torch.manual_seed(0)
    out = changed(dropout.build(rate=0.75).train(), FEATURES)
    channels = out.flatten(2)
    assert set(out.unique().tolist()) == {0.0, 4.0}
    assert torch.equal(channels.amin(2), channels.amax(2))


def test_elementwise_zeroes_single_values() -> None:
    torch.manual_seed(0)
    out = changed(dropout.build(rate=0.75, elementwise=True).train(), FEATURES)
    channels = out.flatten(2)
    assert set(out.unique().tolist()) == {0.0, 4.0}
    assert not torch.equal(channels.amin(2), channels.amax(2))


@pytest.mark.parametrize("elementwise", [False, True])
@pytest.mark.parametrize("rate", [0.3, 0.5, 0.7])
def test_rate_is_the_share_of_zeroes(rate: float, elementwise: bool) -> None:
    torch.manual_seed(1)
    out = changed(dropout.build(rate=rate, elementwise=elementwise).train(), FEATURES)
    assert (out == 0).float().mean().item() == pytest.approx(rate, abs=0.04)  # 2048 channels: 4 deviations


def test_samples_and_calls_are_dropped_independently() -> None:
    torch.manual_seed(2)
    regularizer = dropout.build().train()
    first, second = changed(regularizer, FEATURES), changed(regularizer, FEATURES)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_default_is_half_of_the_channels() -> None:
    regularizer = dropout.build()
    assert (regularizer.rate, regularizer.elementwise, regularizer.views) == (0.5, False, 1)


def test_rate_zero_keeps_all() -> None:
    assert torch.equal(changed(dropout.build(rate=0).train(), FEATURES), FEATURES)


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, float("nan"), "0.5", None])
def test_refuses_a_bad_rate(rate: object) -> None:
    with pytest.raises(ValueError, match=r"^rate must be a number in \[0, 1\), not .*$"):
        dropout.build(rate=rate)


@pytest.mark.parametrize("elementwise", ["no", 1, None])
def test_refuses_a_bad_elementwise(elementwise: object) -> None:
    with pytest.raises(ValueError, match=r"^elementwise must be true or false"):
        dropout.build(elementwise=elementwise)
