"""L1 by hand, and bit for bit that of torch."""

import torch
from torch.nn import functional

from blindsr.plugins.losses.l1 import build


def test_by_hand_and_as_torch_has_it():
    sr, hr = torch.tensor([[1.0, -2.0], [0.5, 0.0]]), torch.zeros(2, 2)
    assert build()(sr, hr) == 3.5 / 4
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(3, 3, 17, 19, generator=generator) for _ in range(2))
    assert torch.equal(build()(a, b), functional.l1_loss(a, b))
