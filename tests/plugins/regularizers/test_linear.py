from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from blindsr.plugins.regularizers import linear
from steps import penalty


def loop(a: Tensor, b: Tensor) -> Tensor:
    """The definition, sample by sample."""
    total = a.new_zeros(())
    for h, k in zip(a, b, strict=True):
        total = total + (mean(h) - mean(k)).square().sum() + (covariance(h) - covariance(k)).square().sum()
    return total / len(a)


def mean(h: Tensor) -> Tensor:
    return h.mean((1, 2))


def covariance(h: Tensor) -> Tensor:
    return torch.cov(h.flatten(1), correction=0)


def test_by_hand() -> None:
    """Means (2, 5) and (0, 1); covariances [[1, 2], [2, 4]] and [[4, -2], [-2, 1]]."""
    a = torch.tensor([[1.0, 3.0], [3.0, 7.0]]).reshape(1, 2, 1, 2)
    b = torch.tensor([[-2.0, 2.0], [2.0, 0.0]]).reshape(1, 2, 1, 2)
    means = 2**2 + 4**2
    covariances = (1 - 4) ** 2 + 2 * (2 + 2) ** 2 + (4 - 1) ** 2
    assert penalty(linear.build(), a, b) == means + covariances


def test_a_shift_costs_its_square_alone() -> None:
    a = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shift = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64).reshape(1, 3, 1, 1)
    assert penalty(linear.build(), a, a + shift).item() == pytest.approx(1 + 4 + 0.25, rel=1e-12)


def test_a_scale_costs_covariance_alone() -> None:
    a = torch.tensor([1.0, -1.0]).reshape(1, 1, 1, 2)
    assert penalty(linear.build(), a, 3 * a) == (1 - 9) ** 2


def test_mean_over_the_batch() -> None:
    a, b = torch.zeros(4, 2, 3, 3), torch.zeros(4, 2, 3, 3)
    a[0] += 2
    assert penalty(linear.build(), a, b) == 2 * 2**2 / 4


@settings(deadline=None, max_examples=30)
@given(
    batch=st.integers(1, 4), channels=st.integers(1, 6), height=st.integers(1, 5), width=st.integers(1, 5),
    offset=st.sampled_from([0.0, 10.0]), gap=st.sampled_from([1.0, 1e-3]), seed=st.integers(0, 99),
)  # fmt: skip
def test_value_and_gradient_of_the_plain_loop(
    batch: int, channels: int, height: int, width: int, offset: float, gap: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, channels, height, width)
    a = offset + torch.randn(shape, generator=generator, dtype=torch.float64)
    b = a + gap * torch.randn(shape, generator=generator, dtype=torch.float64)
    results = []
    for measure in (partial(penalty, linear.build()), loop):
        leaves = [view.clone().requires_grad_() for view in (a, b)]
        value = measure(*leaves)
        results.append([value, *torch.autograd.grad(value, leaves)])
    for ours, wanted in zip(*results, strict=True):
        assert (ours - wanted).norm() <= 1e-9 * wanted.norm() + 1e-18


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_float32_agrees_with_float64_for_nearly_equal_views(offset: float) -> None:
    """Covariances that are subtracted after they were rounded would lose the small difference."""
    generator = torch.Generator().manual_seed(0)
    a = offset + torch.randn(2, 8, 32, 32, generator=generator)
    b = a + 1e-3 * torch.randn(a.shape, generator=generator)
    exact = penalty(linear.build(), a.double(), b.double()).item()
    assert penalty(linear.build(), a, b).item() == pytest.approx(exact, rel=1e-3)


def test_gradient_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(5)
    a, b = (torch.randn(2, 3, 2, 2, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(partial(penalty, linear.build()), (a, b))


@pytest.mark.parametrize("stride", [2, 3])
def test_a_stride_takes_every_pixel_of_one_grid(stride: int) -> None:
    """The penalty is that of the subsampled features at one of the offsets, and each offset has its turn."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 3, 9, 8, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    grids = [(slice(top, None, stride), slice(left, None, stride)) for top in range(stride) for left in range(stride)]
    known = [float(loop(a[(..., *grid)], b[(..., *grid)])) for grid in grids]
    seen = set()
    torch.manual_seed(0)
    for _ in range(60):
        value = penalty(linear.build(stride=stride), a, b)
        (gradient,) = torch.autograd.grad(value, a)
        number = int(min(range(len(known)), key=lambda place: abs(known[place] - float(value))))
        assert float(value) == pytest.approx(known[number], rel=1e-12)
        assert gradient[(..., *grids[number])].abs().min() > 0
        assert int((gradient != 0).sum()) == gradient[(..., *grids[number])].numel()
        seen.add(number)
    assert len(seen) == stride**2


def test_stride_1_draws_nothing() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    penalty(linear.build(), torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
    assert torch.rand(1) == expected


@pytest.mark.parametrize("stride", [0, -1, True, 1.5])
def test_a_wrong_stride_is_refused(stride: object) -> None:
    with pytest.raises(ValueError, match="stride must be a whole number"):
        linear.build(stride=stride)  # type: ignore[arg-type]
