"""The control: two views, no penalty, no trace in the features."""

import torch

from blindsr.plugins.regularizers import two_views
from steps import changed, penalty


def test_nothing_but_two_views() -> None:
    control = two_views.build()
    a, b = (torch.rand(2, 3, 4, 5, requires_grad=True) for _ in range(2))
    assert control.views == 2
    cost = penalty(control, a, b)
    cost.backward()
    assert cost == 0
    assert not a.grad.any()
    assert not b.grad.any()
    assert changed(control, a) is a
    assert not list(control.parameters())
