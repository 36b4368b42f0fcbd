"""What every regularizer promises, a new one too: the list is read from the folder."""

import inspect

import pytest
import torch
from torch import Tensor, nn

from blindsr.config import registry
from steps import changed, penalty

NAMES = registry.names("regularizer")
SHAPE = (3, 4, 6, 5)
CONTROL = "two_views"
"""The one of two views that is meant to cost nothing."""


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def regularizer(name: str) -> nn.Module:
    return registry.load("regularizer", name)()


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    a, b = (torch.randn(SHAPE, generator=generator) for _ in range(2))
    return a, b


def seeded(regularizer: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    torch.manual_seed(3)
    return penalty(regularizer, a, b)


def test_the_paper_s_regularizers_are_there() -> None:
    assert {"none", "dropout", "brute_force", "linear", "rff", "rff_released"} <= set(NAMES)


def test_build_takes_keyword_settings_with_defaults(name: str) -> None:
    for parameter in inspect.signature(registry.load("regularizer", name)).parameters.values():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter
        assert parameter.default is not inspect.Parameter.empty, parameter


def test_is_a_module(regularizer: nn.Module) -> None:
    assert isinstance(regularizer, nn.Module)


def test_views(regularizer: nn.Module) -> None:
    assert regularizer.views in (1, 2)


def test_perturb_changes_nothing_in_eval_mode(regularizer: nn.Module, views: tuple[Tensor, Tensor]) -> None:
    assert torch.equal(changed(regularizer.eval(), views[0]), views[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_perturb_keeps_shape_and_dtype(regularizer: nn.Module, dtype: torch.dtype, training: bool) -> None:
    out = changed(regularizer.train(training), torch.ones(SHAPE, dtype=dtype))
    assert out.shape == SHAPE
    assert out.dtype == dtype


def test_penalty_is_a_float32_scalar_that_is_not_negative(
    name: str, regularizer: nn.Module, views: tuple[Tensor, Tensor]
) -> None:
    cost = penalty(regularizer, *views)
    assert cost.shape == ()
    assert cost.dtype == torch.float32
    assert torch.isfinite(cost)
    assert cost >= 0
    free = regularizer.views == 1 or name == CONTROL
    assert (cost > 0) != free, "a regularizer of two views tells different ones apart"


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_equal_views_cost_exactly_nothing(
    regularizer: nn.Module, views: tuple[Tensor, Tensor], offset: float
) -> None:
    a = (views[0] + offset).requires_grad_()
    b = a.detach().clone().requires_grad_()
    cost = penalty(regularizer, a, b)
    assert cost == 0
    if cost.requires_grad:
        cost.backward()
        for view in (a, b):
            assert not view.grad.any()


def test_symmetric(regularizer: nn.Module, views: tuple[Tensor, Tensor]) -> None:
    a, b = views
    torch.testing.assert_close(seeded(regularizer, a, b), seeded(regularizer, b, a), rtol=1e-5, atol=0)


def test_same_seed_same_bits(regularizer: nn.Module, views: tuple[Tensor, Tensor]) -> None:
    first, second = ((seeded(regularizer.train(), *views), changed(regularizer, views[0])) for _ in range(2))
    assert all(map(torch.equal, first, second))


def test_gradients_reach_both_views_and_are_finite(
    name: str, regularizer: nn.Module, views: tuple[Tensor, Tensor]
) -> None:
    if regularizer.views == 1:
        pytest.skip("one view has no penalty")
    a, b = (view.clone().requires_grad_() for view in views)
    penalty(regularizer, a, b).backward()
    for view in (a, b):
        assert torch.isfinite(view.grad).all()
        assert bool(view.grad.any()) == (name != CONTROL)


@pytest.mark.parametrize("fill", [0.0, 5.0])
def test_constant_features_give_finite_gradients(regularizer: nn.Module, fill: float) -> None:
    a, b = torch.full(SHAPE, fill, requires_grad=True), torch.zeros(SHAPE, requires_grad=True)
    cost = penalty(regularizer, a, b)
    assert torch.isfinite(cost)
    if cost.requires_grad:
        cost.backward()
        assert torch.isfinite(a.grad).all()
        assert torch.isfinite(b.grad).all()


@pytest.mark.parametrize("name", ["brute_force", "linear", "rff", "rff_released"])
def test_order_of_the_pixels_does_not_matter(name: str, views: tuple[Tensor, Tensor]) -> None:
    regularizer = registry.load("regularizer", name)()
    order = torch.randperm(SHAPE[2] * SHAPE[3], generator=torch.Generator().manual_seed(1))
    a, b = views
    shuffled = (view.flatten(2)[:, :, order].reshape(SHAPE) for view in views)
    torch.testing.assert_close(seeded(regularizer, *shuffled), seeded(regularizer, a, b), rtol=1e-4, atol=1e-6)


def test_memory_format_does_not_matter(regularizer: nn.Module, views: tuple[Tensor, Tensor]) -> None:
    last = (view.to(memory_format=torch.channels_last) for view in views)
    torch.testing.assert_close(seeded(regularizer, *last), seeded(regularizer, *views), rtol=1e-5, atol=1e-7)


def test_bfloat16_features_are_measured_in_float32(regularizer: nn.Module, views: tuple[Tensor, Tensor]) -> None:
    a, b = (view.bfloat16() for view in views)
    with torch.autocast("cpu", torch.bfloat16):
        penalty = seeded(regularizer, a, b)
    assert torch.equal(penalty, seeded(regularizer, a.float(), b.float()))


def test_gradient_can_be_asked_for_twice(regularizer: nn.Module, views: tuple[Tensor, Tensor]) -> None:
    a = views[0].clone().requires_grad_()
    cost = penalty(regularizer, a, views[1])
    if cost.requires_grad:
        first, second = (torch.autograd.grad(cost, a, retain_graph=True)[0] for _ in range(2))
        assert torch.equal(first, second)


@pytest.mark.parametrize("batch", [2, 8])
def test_number_of_operations_does_not_grow_with_the_batch(regularizer: nn.Module, batch: int) -> None:
    """For one sample torch may take shorter ways."""
    assert _operations(regularizer, 1) <= _operations(regularizer, batch) == _operations(regularizer, 4)


def _operations(regularizer: nn.Module, batch: int) -> int:
    a, b = (torch.randn(batch, 4, 3, 3, requires_grad=True) for _ in range(2))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        cost = penalty(regularizer, a, b)
        if cost.requires_grad:
            cost.backward()
    return sum(event.name.startswith("aten::") for event in profile.events())
