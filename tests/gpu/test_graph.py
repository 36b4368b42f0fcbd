"""Steps that a GPU replays against the same steps launched by Python; in a file of its own, the last to be run."""

from collections.abc import Callable

import pytest
import torch
from subjects import RATE, Run, batch, run, steps

from blindsr.config import registry
from blindsr.config.params import Params

pytestmark = pytest.mark.gpu
NAMES = registry.names("regularizer")
STEPS = 10
BOUND = 0.01 * RATE
"""Of the largest difference of a weight, which ten steps of Adam move by up to ten learning rates."""


def both(small: Params, cuda: torch.device, reg: str, looks: tuple[int, ...] = (), **more: bool) -> tuple[Run, Run]:
    """The same steps, replayed and not; their diagnoses agree."""
    runs = [run(small, reg, cuda, replay=replay, **more) for replay in (True, False)]
    said = [steps(made, cuda, STEPS, looks) for made in runs]
    assert len(said[0]) == (len(looks) if runs[0].network.views == 2 else 0)
    for ours, theirs in zip(*said, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-6)
    assert (runs[0].step._recording is not None) == runs[0].network.regularizer.replayable
    return runs[0], runs[1]


def agree(replayed: Run, plain: Run, record_property: Callable) -> None:
    difference = float((replayed.weights() - plain.weights()).abs().max())
    record_property("largest difference of a weight over the learning rate", f"{difference / RATE:.1e}")
    assert difference <= BOUND
    torch.testing.assert_close(replayed.sums, plain.sums, rtol=1e-5, atol=1e-12)
    for name, average in plain.ema.state_dict().items():
        torch.testing.assert_close(replayed.ema.state_dict()[name], average, rtol=0, atol=BOUND)
    assert replayed.step.watch.steps_since_bad() == plain.step.watch.steps_since_bad() == 0


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("reg", NAMES)
def test_replays_are_plain_steps(
    small: Params, cuda: torch.device, reg: str, bf16: bool, record_property: Callable
) -> None:
    """Weights, moving average and sums; the random numbers of rff and the masks of Dropout with them."""
    agree(*both(small, cuda, reg, bf16=bf16), record_property)


@pytest.mark.parametrize("reg", ["none", "dropout", "rff"])
def test_looks_between_replays_change_nothing(
    small: Params, cuda: torch.device, reg: str, record_property: Callable
) -> None:
    agree(*both(small, cuda, reg, looks=(4, 5, 8)), record_property)


def test_a_loss_that_is_not_finite_is_found_in_a_replay(small: Params, cuda: torch.device) -> None:
    """Three steps ago, and the weights are still those from before it."""
    made = run(small, "rff", cuda, replay=True)
    steps(made, cuda, 6)
    before = made.weights()
    assert made.step._recording is not None
    with made.network.taps:
        poisoned = batch(2, 0, cuda)
        poisoned.lr[0, 0, 0, 0] = float("nan")
        for given in (poisoned, batch(2, 1, cuda), batch(2, 2, cuda)):
            made.step(given, RATE, 0.5)
    assert made.step.watch.steps_since_bad() == 3
    assert torch.equal(made.weights(), before)
