"""Charbonnier's loss: L1 with a round bottom.

Source: Lai et al., "Deep Laplacian pyramid networks for fast and accurate super-resolution", CVPR 2017.
"""

import math

from torch import Tensor

from blindsr.plugins.losses.base import Loss

_LEAST = 1e-12


def build(*, eps: float = 1e-3) -> Loss:
    """Mean of √((SR - HR)² + eps²) over samples, channels and pixels; `eps` of the source for images in [0, 1].

    Below differences of about `eps` it is quadratic, above them L1. Equal images have a loss of `eps`.

    Args:
        eps: > 0, of a size whose square float32 holds.

    Raises:
        ValueError: for another eps.
    """
    if not isinstance(eps, int | float) or isinstance(eps, bool) or not 0 < eps < math.inf:
        raise ValueError(f"eps must be a finite number > 0, not {eps!r}")
    if not _LEAST <= eps <= 1 / _LEAST:
        raise ValueError(f"eps must be from {_LEAST:g} to {1 / _LEAST:g}, not {eps!r}")
    return _Charbonnier(float(eps))


class _Charbonnier(Loss):
    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return ((sr - hr).square() + self.eps**2).sqrt().mean()
