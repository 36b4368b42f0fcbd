"""Alignment pixel by pixel: the ablation's simplest rival of aligned statistics."""

from torch import Tensor

from blindsr.plugins.regularizers.base import Alignment, Regularizer, Step


def build() -> Regularizer:
    """Two views; penalty: mean of (a - b)² over samples, channels and pixels."""
    return _BruteForce()


class _BruteForce(Alignment):
    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        return (a - b).square().mean()
