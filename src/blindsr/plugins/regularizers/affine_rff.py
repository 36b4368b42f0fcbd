"""`affine_alignment` plus the same on random Fourier features whose bandwidth follows the features: `rff` without a
scale of its own."""

import math

import torch
from torch import Tensor

from blindsr.plugins.regularizers.base import Alignment, Regularizer, Step
from blindsr.plugins.regularizers.operators import affine, checks
from blindsr.plugins.regularizers.operators.moments import statistics_distance

_PIXELS = 64  # of each sample, of which the directions of φ are mixed


def build(*, dim: int = 32, sigma: float = 1.0, ridge: float = 0.01) -> Regularizer:
    """Two views; penalty: that of `affine_alignment`, plus ‖Δμ‖² + ‖ΔΣ‖_F² of φ(a) and φ(b), mean over the batch.

    φ: R^C -> R^dim, per pixel: φ(x) = √(2/dim)·cos(Wx + b), as in `rff`, but for whitened features (S = I), where two
    pixels are √(2C) apart: sigma is in units of that, so that φ is as nonlinear for every network and scale. At 1 the
    kernel of two pixels is about exp(-½). φ is bounded, so its statistics need no units.

    The rows of W are random mixtures of the batch's own pixels (the mean of both views), which in whitened features
    have the covariance I of Gaussian ones; drawn that way, φ itself is the same for h and A·h + b, not only its
    distribution.

    Args:
        dim: Number of random features, >= 1.
        sigma: Bandwidth in units of the mean distance of two pixels, > 0.
        ridge: As for `affine_alignment`.

    Raises:
        ValueError: for other values.
    """
    return _AffineRandomFourierFeatures(
        checks.count("dim", dim), checks.positive("sigma", sigma), checks.positive("ridge", ridge)
    )


class _AffineRandomFourierFeatures(Alignment):
    replayable = False  # as affine_alignment

    def __init__(self, dim: int, sigma: float, ridge: float) -> None:
        super().__init__()
        self.dim = dim
        self.sigma = sigma
        self.ridge = ridge

    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        raw = affine.moments(a, b, step.share)
        linear = affine.of_views(affine.whitened(raw, self.ridge)).mean()
        return linear.to(a.dtype) + statistics_distance(*self.mapped(a, b, raw, step))

    def mapped(self, a: Tensor, b: Tensor, raw: affine.Moments, step: Step) -> tuple[Tensor, Tensor]:
        """φ of both views, (B, dim, pixels)."""
        first, second = a.flatten(2), b.flatten(2)
        samples, channels, pixels = len(raw.mean), first.shape[1], first.shape[2]
        taken = min(_PIXELS, pixels)
        mixture, phase = step.draw(
            lambda: (torch.randn(samples, self.dim, taken), 2 * math.pi * torch.rand(self.dim)), raw.mean
        )
        centre, whole = affine.pooled(raw)
        places = torch.arange(taken, device=first.device) * pixels // taken
        some = ((first + second) / 2)[..., places].to(centre) - centre[:, None]
        rows = step.share.gather(step.share.of(mixture) @ some.mT).sum(0) / math.sqrt(samples * taken)
        weight = torch.cholesky_solve(rows.mT, affine.root(whole)).mT / (self.sigma * math.sqrt(2 * channels))
        phase = phase - weight @ centre
        weight, phase = weight.to(first), phase.to(first)
        one, other = ((weight @ x + phase[:, None]).cos() * math.sqrt(2 / self.dim) for x in (first, second))
        return one, other
