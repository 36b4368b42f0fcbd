"""Alignment of mean and covariance that no change of basis pays: `linear` in units of the features themselves."""

from torch import Tensor

from blindsr.plugins.regularizers.base import Alignment, Regularizer, Step
from blindsr.plugins.regularizers.operators import affine, checks


def build(*, ridge: float = 0.01) -> Regularizer:
    """Two views; symmetric Kullback–Leibler divergence of N(μ, Σ) and N(μ′, Σ′) per channel, mean over the batch.

    μ and Σ are those of `linear`, over the pixels of a sample. The value is the same for h and A·h + b, for every
    invertible A over the channels. It can still be paid by features that do not depend on the image: see
    `content_alignment`.

    Args:
        ridge: Share of the batch's covariance that is added to every Σ and Σ′, > 0.

    Raises:
        ValueError: for another ridge.
    """
    return _AffineAlignment(checks.positive("ridge", ridge))


class _AffineAlignment(Alignment):
    replayable = False  # whether a GPU can record the factorizations is not tried yet

    def __init__(self, ridge: float) -> None:
        super().__init__()
        self.ridge = ridge

    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        white = affine.whitened(affine.moments(a, b, step.share), self.ridge)
        return affine.of_views(white).mean().to(a.dtype)
