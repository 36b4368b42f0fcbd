"""Every regularizer on the device against the CPU: its penalty, and its gradient by the features."""

from collections.abc import Callable

import pytest
import torch
from subjects import distance, run, steps
from torch import Tensor, nn

from blindsr.config import registry
from blindsr.config.params import Params
from blindsr.model.network import build_regularizer
from steps import changed, penalty

pytestmark = pytest.mark.gpu
NAMES = registry.names("regularizer")


def views(device: torch.device) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(4, 16, 24, 20, generator=generator).to(device).requires_grad_() for _ in range(2)]


def cost_and_gradients(regularizer: nn.Module, device: torch.device) -> tuple[Tensor, Tensor | None]:
    torch.manual_seed(3)
    given = views(device)
    cost = penalty(regularizer.train(), *given)
    if not cost.requires_grad:
        return cost.cpu(), None
    cost.backward()
    return cost.detach().cpu(), torch.cat([view.grad for view in given]).cpu()


@pytest.mark.parametrize("name", NAMES)
def test_penalty_and_gradient_are_those_of_the_cpu(
    name: str, device: torch.device, record_property: Callable
) -> None:
    regularizer = build_regularizer(name, {})
    if regularizer.views == 1:
        pytest.skip("of one view: no penalty")
    wanted, made = (cost_and_gradients(regularizer, where) for where in (torch.device("cpu"), device))
    error = distance(made[1], wanted[1]) if wanted[1].any() else float(made[1].abs().max())
    record_property("error of the gradient", f"{error:.1e}")
    torch.testing.assert_close(made[0], wanted[0], rtol=1e-4, atol=0)
    assert error < 1e-3


def test_dropout_zeroes_whole_channels_at_its_rate(device: torch.device) -> None:
    """A GPU draws other masks than a CPU: at rate 0.7, of 25,600 channels 30 % stay, within five deviations."""
    features = torch.ones(400, 64, 2, 2, device=device)
    kept = changed(build_regularizer("dropout", {"rate": 0.7}).train(), features)
    assert ((kept == 0) | ((kept - 1 / 0.3).abs() < 1e-5)).all()
    assert (kept.amax((2, 3)) == kept.amin((2, 3))).all()
    assert abs(float((kept > 0).float().mean()) - 0.3) < 5 * (0.3 * 0.7 / 25600) ** 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_are_those_of_the_cpu(
    small: Params, name: str, device: torch.device, record_property: Callable
) -> None:
    """Loss terms of three steps; Dropout's draws are the device's own."""
    if name == "dropout" and device.type != "cpu":
        pytest.skip("its masks are drawn by the device")
    sums = []
    for where in (torch.device("cpu"), device):
        made = run(small, name, where, replay=False)
        steps(made, where, 3)
        sums.append(made.sums.cpu())
    record_property("L1 and penalty", [f"{value:.6g}" for value in sums[1].tolist()])
    torch.testing.assert_close(sums[1], sums[0], rtol=1e-3, atol=1e-9)
