"""What regularizers share: the base class, and distances between the statistics of two views."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Share:
    """Which samples of a batch this process has: by default, all of them.

    Several processes that train together hold equal, consecutive parts, with the same state of the CPU's default
    generator, and average the gradients of their penalties.
    """

    rank: int = 0
    ranks: int = 1
    gather: Callable[[Tensor], Tensor] = lambda rows: rows
    """Rows (B, …) of this process to those of the whole batch, (ranks·B, …), with gradients."""

    def of(self, rows: Tensor) -> Tensor:
        """The part of rows (ranks·B, …) that belongs to this process, (B, …)."""
        return rows.chunk(self.ranks)[self.rank]


class Regularizer(nn.Module):
    """Acts on features (B, C, H, W), which are always what enters the last convolution of a backbone.

    A subclass sets `views` to 2 and defines `distance`, or keeps one view and redefines `perturb`. What is drawn per
    sample, or is not a mean over the batch, asks `share` for the whole batch: then the number of processes, which
    each have a part of it, changes no result.
    """

    views: int = 1
    """Degraded views of each HR patch that a training step needs: 1 or 2."""
    share: Share = Share()
    """Set by the trainer."""

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
    """
    distance: Tensor = _StatisticsDistance.apply(a, b, scale)
    return distance


class _StatisticsDistance(torch.autograd.Function):
    """With its gradient written out, three matrix products instead of the six that autograd makes of it.

    With d = a - b and s = a + b, Σ(a) - Σ(b) = (s dᵀ + d sᵀ) / 2N if d is centred: one product instead of two,
    and no cancellation between nearly equal covariances.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, scale: float) -> Tensor:
        batch, _, pixels = a.shape
        d = a - b
        mean_gap = d.mean(2, keepdim=True)
        d -= mean_gap
        product = torch.bmm(a + b, d.transpose(1, 2)) / (2 * pixels)
        covariance_gap = product + product.transpose(1, 2)
        ctx.save_for_backward(a, b, mean_gap, covariance_gap)
        ctx.scale = scale
        return (scale**2 * mean_gap.square().sum() + scale**4 * covariance_gap.square().sum()) / batch

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """For a: (2 Δμ + 4 ΔΣ (a - μ(a))) / N; for b the same with the opposite sign."""
        a, b, mean_gap, covariance_gap = ctx.saved_tensors
        factor = gradient / (a.shape[0] * a.shape[2])
        shift = 2 * ctx.scale**2 * factor * mean_gap
        slope = 4 * ctx.scale**4 * factor * covariance_gap
        of_a = _affine(slope, a, shift) if ctx.needs_input_grad[0] else None
        of_b = _affine(-slope, b, -shift) if ctx.needs_input_grad[1] else None
        return of_a, of_b, None


def _affine(slope: Tensor, x: Tensor, shift: Tensor) -> Tensor:
    """slope (x - μ(x)) + shift."""
    return torch.baddbmm(shift - slope @ x.mean(2, keepdim=True), slope, x)


def _full_precision(features: Tensor) -> Tensor:
    return features if features.dtype == torch.float64 else features.float()
