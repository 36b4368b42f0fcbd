"""Charbonnier's loss by hand: round below eps, L1 above."""

import pytest
import torch

from blindsr.plugins.losses.charbonnier import build


def test_by_hand():
    sr = torch.tensor([3.0, 0.0, -12.0, 0.0])
    assert build(eps=4.0)(sr, torch.zeros(4)).item() == pytest.approx((5 + 4 + 160**0.5 + 4) / 4)
    assert build(eps=5.0)(sr, torch.zeros(4)).item() == pytest.approx((34**0.5 + 5 + 13 + 5) / 4)


def test_equal_images_cost_eps_and_pull_nowhere():
    sr = torch.rand(1, 3, 5, 5).requires_grad_()
    loss = build()(sr, sr.detach())
    loss.backward()
    assert loss.item() == pytest.approx(1e-3)
    assert torch.equal(sr.grad, torch.zeros_like(sr))


def test_far_from_equal_it_is_l1():
    sr, hr = torch.full((1, 3, 4, 4), 0.75), torch.full((1, 3, 4, 4), 0.25)
    assert build()(sr, hr).item() == pytest.approx(0.5, abs=2e-6)


@pytest.mark.parametrize("eps", [0, -1.0, float("inf"), float("nan"), "small", True])
def test_an_impossible_eps_is_refused(eps):
    with pytest.raises(ValueError, match="eps must be a finite number > 0"):
        build(eps=eps)
