"""Alignment pixel by pixel: the ablation's simplest rival of aligned statistics."""

from torch import Tensor

from blindsr.plugins.regularizers.base import Regularizer


def build() -> Regularizer:
    """Two views; penalty: mean of (a - b)² over samples, channels and pixels."""
    return _BruteForce()


class _BruteForce(Regularizer):
    views = 2

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).square().mean()
