import math
from functools import partial

import pytest
import torch
from torch import Tensor

from blindsr.plugins.regularizers import rff_released
from steps import penalty


def loop(a: Tensor, b: Tensor) -> Tensor:
    """The released computation pair by pair, with its C×C matrices, on the draws of the module under test."""
    slope, phase = rff_released.draw(*a.shape[:2])
    pooled = [view.mean((2, 3)) for view in (a, b)]
    u_all, v_all = (view - view.mean(0, keepdim=True) for view in pooled)
    total = a.new_zeros(())
    for u, v, w, shift in zip(u_all, v_all, slope.to(a), phase.to(a), strict=True):
        pairs = [(u, v), (released_map(u, w, shift), released_map(v, w, shift))]
        for x, y in pairs:
            total = total + (x - y).square().mean() + (x.outer(x) - y.outer(y)).square().mean()
    return total


def released_map(u: Tensor, w: Tensor, shift: Tensor) -> Tensor:
    p = w * u + shift
    p = p - p.min()
    p = p / p.max() * (math.pi / 2)
    return math.sqrt(2.0) * (torch.cos(p) + torch.sin(p))


class NoMap:
    """Every channel maps to 0."""

    def __init__(self, u: Tensor, slope: Tensor, phase: Tensor) -> None:
        self.value = torch.zeros_like(u)

    def gradient(self, outer: Tensor) -> Tensor:
        return torch.zeros_like(outer)


def features(batch: int, channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    a, b = (torch.randn(batch, channels, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    return a, b


@pytest.mark.parametrize(("batch", "channels"), [(2, 2), (3, 5), (8, 64)])
def test_value_and_gradient_of_the_plain_loop(batch: int, channels: int) -> None:
    results = []
    for measure in (partial(penalty, rff_released.build()), loop):
        leaves = [view.requires_grad_() for view in features(batch, channels)]
        torch.manual_seed(4)
        value = measure(*leaves)
        results.append([value, *torch.autograd.grad(value, leaves)])
    for ours, wanted in zip(*results, strict=True):
        assert (ours - wanted).norm() <= 1e-9 * wanted.norm()


def test_linear_part_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """u = ±(1, 0) and v = ±(0, 2) after centring; the map is switched off."""
    monkeypatch.setattr(rff_released, "_Map", NoMap)
    a = torch.tensor([[2.0, 5.0], [0.0, 5.0]])[:, :, None, None]
    b = torch.tensor([[1.0, 2.0], [1.0, -2.0]])[:, :, None, None]
    each = (1 + 4) / 2 + (1**2 + 4**2) / 4
    assert penalty(rff_released.build(), a, b).item() == pytest.approx(2 * each, rel=1e-6)


def test_map_by_hand() -> None:
    """p = (0, 1, 4) becomes (0, π/8, π/2)."""
    mapped = rff_released._Map(torch.tensor([[1.0, 2.0, 5.0]]), torch.ones(1, 1), torch.full((1, 3), -1.0)).value
    eighth = math.pi / 8
    wanted = math.sqrt(2) * torch.tensor([[1.0, math.cos(eighth) + math.sin(eighth), 1.0]])
    torch.testing.assert_close(mapped, wanted)


def test_cannot_see_a_shift_that_all_pairs_share() -> None:
    a, _ = features(4, 6)
    assert penalty(rff_released.build(), a, a + 3.0).item() == pytest.approx(0, abs=1e-20)


def test_a_batch_of_one_costs_nothing() -> None:
    assert penalty(rff_released.build(), *features(1, 6)) == 0


def test_sum_over_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rff_released, "_Map", NoMap)
    a, b = features(3, 6)
    once = penalty(rff_released.build(), a, b)
    twice = penalty(rff_released.build(), a.repeat(2, 1, 1, 1), b.repeat(2, 1, 1, 1))
    assert twice.item() == pytest.approx(2 * once.item(), rel=1e-12)


def test_only_spatial_means_matter() -> None:
    a, b = features(4, 6)
    flat = a.mean((2, 3), keepdim=True).expand_as(a)
    torch.manual_seed(0)
    wanted = penalty(rff_released.build(), a, b)
    torch.manual_seed(0)
    assert penalty(rff_released.build(), flat, b).item() == pytest.approx(wanted.item(), rel=1e-12)


def test_draws_one_slope_per_sample_and_one_phase_per_channel() -> None:
    torch.manual_seed(0)
    slope, phase = rff_released.draw(500, 40)
    assert slope.shape == (500, 1)
    assert slope.std().item() == pytest.approx(1, rel=0.1)
    assert phase.shape == (500, 40)
    assert phase.min() >= 0
    assert phase.max() <= 2 * math.pi
    assert phase.mean().item() == pytest.approx(math.pi, rel=0.03)
