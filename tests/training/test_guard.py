"""A loss that is not finite freezes training where it was found; errors of allocation name the settings."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from blindsr.training import guard
from blindsr.training.guard import Guard

CPU = torch.device("cpu")


def step(module: nn.Module, optimizer: torch.optim.Optimizer, watch: Guard, factor: float) -> None:
    optimizer.zero_grad()
    guard.backward((module(torch.ones(2, 3)) * factor).abs().mean())
    watch.watch(module)
    watch.count()
    optimizer.step()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e39])
def test_weights_and_moments_stay_as_the_bad_step_found_them(bad: float) -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    watch = Guard(optimizer, CPU)
    for _ in range(2):
        step(module, optimizer, watch, 1.0)
    assert watch.steps_since_bad() == 0
    before = [tensor.clone() for tensor in (module.weight, *optimizer.state[module.weight].values())]
    for factor in (bad, 1.0, 1.0):  # the host looks only after three steps
        step(module, optimizer, watch, factor)
    assert watch.steps_since_bad() == 3
    after = (module.weight, *optimizer.state[module.weight].values())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_where_the_kernel_does_not_read_the_flag_adam_gets_no_gradients() -> None:
    """As on MPS: its fused Adam takes `found_inf` and looks at it nowhere."""
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    watch = Guard(optimizer, CPU)
    watch._asks = True
    del optimizer.found_inf
    step(module, optimizer, watch, 1.0)
    before = [tensor.clone() for tensor in (module.weight, *optimizer.state[module.weight].values())]
    for factor in (float("nan"), 1.0):
        step(module, optimizer, watch, factor)
    assert watch.steps_since_bad() == 2
    after = (module.weight, *optimizer.state[module.weight].values())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_it_asks_on_mps_alone_and_has_no_float64_there() -> None:
    with FakeTensorMode():
        for device in ("cpu", "cuda", "mps"):
            weight = nn.Parameter(torch.zeros(2, device=device))
            watch = Guard(torch.optim.Adam([weight], fused=True), torch.device(device))
            assert watch._asks == (device == "mps")
            assert watch._good.device.type == watch._found.device.type == device
            assert watch._good.dtype == (torch.float32 if device == "mps" else torch.float64)


def test_a_nan_that_the_gradient_of_l1_hides_is_found() -> None:
    """sign(NaN) is 0: of this loss alone, every gradient is finite."""
    weight = nn.Parameter(torch.ones(2))
    hidden = (weight * torch.tensor([1.0, float("nan")]) - 3).abs()
    module = nn.Module()
    module.weight = weight
    watch = Guard(torch.optim.Adam([weight], fused=True), CPU)
    guard.backward(torch.where(hidden.isnan(), 0 * hidden.detach(), hidden).mean() + hidden.detach().mean())
    watch.watch(module)
    watch.count()
    assert watch.steps_since_bad() == 1


def test_a_finite_loss_has_its_own_gradient() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    guard.backward((3 * weight).square().sum())
    assert weight.grad is not None
    assert weight.grad.tolist() == [18.0, -36.0]


def test_an_allocation_that_fails_names_the_settings() -> None:
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**60, dtype=torch.uint8)
    for error in (real.value, torch.OutOfMemoryError("CUDA out of memory"), MemoryError()):
        problem = guard.out_of_memory(error, CPU, 7, 16, 128)
        assert problem is not None
        assert str(problem) == (
            "out of memory on cpu in iteration 7: lower train.batch (16 LR images), train.crop (128 px) or "
            "train.window"
        )
    assert guard.out_of_memory(RuntimeError("something else"), CPU, 7, 16, 128) is None
