"""The control: two views, no penalty, no trace in the features."""

import torch

from blindsr.regularizers import two_views


def test_nothing_but_two_views() -> None:
    control = two_views.build()
    a, b = torch.rand(2, 2, 3, 4, 5)
    assert control.views == 2
    assert control.penalty(a, b) == 0
    assert control.perturb(a) is a
    assert not list(control.parameters())
