import math
from functools import partial

import pytest
import torch
from torch import Tensor

from blindsr.plugins.regularizers import linear, rff
from blindsr.plugins.regularizers.operators.moments import RandomMap
from steps import penalty


def features(seed: int = 0, batch: int = 2, channels: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(batch, channels, 5, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    return a, b


def kernel_error(dim: int, sigma: float) -> float:
    """Root mean square of φ(x)·φ(y) - exp(-‖x-y‖² / 2σ²) over pairs of points and five draws."""
    torch.manual_seed(dim)
    points = torch.randn(1, 3, 40)
    wanted = torch.exp(-torch.cdist(points[0].T, points[0].T).square() / (2 * sigma**2))
    errors = []
    for _ in range(5):
        mapped = math.sqrt(2 / dim) * RandomMap(*rff.draw(3, dim, sigma), 0).waves(points)[0][0]
        errors.append((mapped.T @ mapped - wanted).square().mean())
    return torch.stack(errors).mean().sqrt().item()


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_inner_products_approach_the_rbf_kernel(sigma: float) -> None:
    assert kernel_error(65536, sigma) < 0.01


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_error_shrinks_with_the_root_of_the_dimension(sigma: float) -> None:
    few, many = kernel_error(256, sigma), kernel_error(256 * 64, sigma)
    assert few / many == pytest.approx(8, rel=0.35)


def test_draw_has_the_distributions_of_the_paper() -> None:
    torch.manual_seed(0)
    weight, phase = rff.draw(50, 4000, 2.0)
    assert weight.shape == (4000, 50)
    assert weight.mean().item() == pytest.approx(0, abs=0.005)
    assert weight.std().item() == pytest.approx(1 / 2.0, rel=0.01)
    assert 0 <= phase.min() < 0.01
    assert 2 * math.pi - 0.01 < phase.max() <= 2 * math.pi
    assert phase.mean().item() == pytest.approx(math.pi, rel=0.03)


def loop(a: Tensor, b: Tensor, dim: int, sigma: float) -> Tensor:
    """The definition, sample by sample, φ spelled out."""
    weight, phase = (drawn.to(a) for drawn in rff.draw(a.shape[1], dim, sigma))
    total = a.new_zeros(())
    for h, k in zip(a.flatten(2), b.flatten(2), strict=True):
        mapped = [math.sqrt(2 / dim) * torch.cos(weight @ x + phase[:, None]) for x in (h, k)]
        for x, y in ((h, k), mapped):
            total = total + (x.mean(1) - y.mean(1)).square().sum()
            total = total + (torch.cov(x, correction=0) - torch.cov(y, correction=0)).square().sum()
    return total / len(a)


@pytest.mark.parametrize(("dim", "sigma"), [(1, 1.0), (7, 0.5), (64, 2.0)])
def test_value_and_gradient_of_the_plain_loop(dim: int, sigma: float) -> None:
    results = []
    for measure in (partial(penalty, rff.build(dim=dim, sigma=sigma)), lambda a, b: loop(a, b, dim, sigma)):
        leaves = [view.requires_grad_() for view in features()]
        torch.manual_seed(11)
        value = measure(*leaves)
        results.append([value, *torch.autograd.grad(value, leaves)])
    for ours, wanted in zip(*results, strict=True):
        assert (ours - wanted).norm() <= 1e-9 * wanted.norm()


def test_adds_to_the_linear_penalty() -> None:
    a, b = features()
    assert penalty(rff.build(), a, b) > penalty(linear.build(), a, b)


def test_sees_what_mean_and_covariance_do_not() -> None:
    """Two distributions with mean 0 and variance 1: equal for `linear`, not for a kernel."""
    a = torch.tensor([1.0, -1.0]).repeat(4).reshape(1, 1, 2, 4)
    b = torch.tensor([2.0, -2.0, 0, 0, 0, 0, 0, 0]).reshape(1, 1, 2, 4)
    torch.manual_seed(0)
    assert penalty(linear.build(), a, b) == 0
    assert penalty(rff.build(dim=256), a, b) > 1e-3


def test_draws_anew_in_each_call() -> None:
    a, b = features()
    regularizer = rff.build()
    assert penalty(regularizer, a, b) != penalty(regularizer, a, b)


def test_defaults() -> None:
    regularizer = rff.build()
    assert (regularizer.views, regularizer.dim, regularizer.sigma) == (2, 32, 1.0)


@pytest.mark.parametrize("dim", [0, -1, 2.5, "64", True, None])
def test_refuses_a_bad_dim(dim: object) -> None:
    with pytest.raises(ValueError, match=r"^dim must be a whole number >= 1, not .*$"):
        rff.build(dim=dim)


@pytest.mark.parametrize("sigma", [0, -1.0, float("inf"), float("nan"), "1", None, True])
def test_refuses_a_bad_sigma(sigma: object) -> None:
    with pytest.raises(ValueError, match=r"^sigma must be a finite number > 0, not .*$"):
        rff.build(sigma=sigma)


def test_a_stride_of_2_sees_a_quarter_of_the_pixels() -> None:
    a = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (gradient,) = torch.autograd.grad(penalty(rff.build(stride=2), a, torch.zeros_like(a)), a)
    assert int((gradient != 0).sum()) == a.numel() // 4
    with pytest.raises(ValueError, match="stride"):
        rff.build(stride=0)
