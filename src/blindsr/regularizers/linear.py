"""Linear alignment: first- and second-order statistics of the features of two views."""

from torch import Tensor

from blindsr.regularizers._blocks import Regularizer, statistics_distance


def build() -> Regularizer:
    """Two views; penalty: ‖μ(a)-μ(b)‖² + ‖Σ(a)-Σ(b)‖_F² of each pair, mean over the batch.

    μ (C) and Σ (C, C) are the spatial mean and covariance (divided by H·W) of one sample's features.
    """
    return _Linear()


class _Linear(Regularizer):
    views = 2

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        return statistics_distance(a.flatten(2), b.flatten(2))
