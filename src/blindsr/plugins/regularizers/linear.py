"""Linear alignment: first- and second-order statistics of the features of two views."""

from torch import Tensor

from blindsr.plugins.regularizers.base import Alignment, Regularizer, Step
from blindsr.plugins.regularizers.operators import checks
from blindsr.plugins.regularizers.operators.moments import statistics_distance, subsampled


def build(*, stride: int = 1) -> Regularizer:
    """Two views; penalty: ‖μ(a)-μ(b)‖² + ‖Σ(a)-Σ(b)‖_F² of each pair, mean over the batch: the paper's ablation.

    μ (C) and Σ (C, C) are the spatial mean and covariance (divided by H·W) of one sample's features.

    Args:
        stride: Over 1, both are estimated from every stride-th pixel in each direction: 1 / stride² of the cost, and
            not the paper's.

    Raises:
        ValueError: unless it is a whole number >= 1.
    """
    return _Linear(checks.count("stride", stride))


class _Linear(Alignment):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.replayable = stride == 1

    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        a, b = subsampled(a, b, self.stride)
        return statistics_distance(a.flatten(2), b.flatten(2))
