"""Mean absolute error: the loss of the paper."""

from torch import Tensor
from torch.nn import functional

from blindsr.plugins.losses.base import Loss


def build() -> Loss:
    """Mean of |SR - HR| over samples, channels and pixels."""
    return _L1()


class _L1(Loss):
    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return functional.l1_loss(sr, hr)
