"""What regularizers share: the base class, and distances between the statistics of two views."""

import torch
from torch import Tensor, nn


class Regularizer(nn.Module):
    """Acts on features (B, C, H, W), which are always what enters the last convolution of a backbone.

    A subclass sets `views` to 2 and defines `distance`, or keeps one view and redefines `perturb`.
    """

    views: int = 1
    """Degraded views of each HR patch that a training step needs: 1 or 2."""

    def perturb(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) as the last convolution gets them: here, unchanged."""
        return features

    def penalty(self, a: Tensor, b: Tensor) -> Tensor:
        """Scalar >= 0 that is 0 for equal views `a` and `b`, both (B, C, H, W), pair by pair.

        Computed in float32 (float64 for float64 features), whatever autocast says: bfloat16 holds three digits,
        and the statistics of two views agree in more than that.
        """
        with torch.autocast(a.device.type, enabled=False):
            return self.distance(_full_precision(a), _full_precision(b))

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """The penalty of features (B, C, H, W) that are float32 or float64: here, none."""
        return a.new_zeros(())


def statistics_distance(a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
    """‖μ(a)-μ(b)‖² + ‖Σ(a)-Σ(b)‖_F² of each pair, mean over the batch, of scale·a and scale·b (B, C, N).

    μ (C) and Σ (C, C) are mean and covariance (divided by N) over the N pixels of one sample.
    With d = a - b and s = a + b, both centred, Σ(a) - Σ(b) = (s dᵀ + d sᵀ) / 2N: one matrix product instead
    of two, and no cancellation between nearly equal covariances.
    """
    d, s = a - b, a + b
    mean_gap = d.mean(2, keepdim=True)
    product = torch.bmm(s - s.mean(2, keepdim=True), (d - mean_gap).transpose(1, 2))
    covariance_gap = (product + product.transpose(1, 2)) / (2 * a.shape[2])
    batch = a.shape[0]
    return (scale**2 * mean_gap.square().sum() + scale**4 * covariance_gap.square().sum()) / batch


def _full_precision(features: Tensor) -> Tensor:
    return features if features.dtype == torch.float64 else features.float()
