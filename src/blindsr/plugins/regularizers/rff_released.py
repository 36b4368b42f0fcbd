"""What the authors' released code computes, which is not what the paper's text says: see `rff` for that."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from blindsr.plugins.regularizers.base import Alignment, Regularizer, Step


def build() -> Regularizer:
    """Two views; penalty on pooled features, summed over the batch, as in realesrgan/models/realesrnet_model.py.

    Features are averaged over the pixels to (B, C), and each view is centred over the batch. A pair u, v costs
    mean (u-v)² + mean (uuᵀ-vvᵀ)², and the same again of √2·(cos p + sin p), where p is w·u + b scaled to
    [0, π/2] over the channels: per sample one w ~ N(0, 1), and b (C) ~ U(0, 2π), the same for both views, from
    torch's default generator of the CPU.

    Since the batch's mean is removed, a shift that all pairs share costs nothing, and a batch of one costs 0.
    """
    return _Released()


class _Released(Alignment):
    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        # In float64, which costs nothing at this size: beside b, float32 rounds the small w·(u - v) away. The whole
        # batch is needed, of which this process may have a part.
        pooled = torch.stack((a.mean((2, 3)), b.mean((2, 3))), dim=1)  # (B, views, C)
        pooled = pooled.to(torch.float32 if a.device.type == "mps" else torch.float64)  # which Apple's GPUs lack
        pooled = step.share.gather(pooled)
        batch, channels = len(pooled), a.shape[1]
        slope, phase = (drawn.unsqueeze(1) for drawn in step.draw(lambda: draw(batch, channels), pooled))
        distance: Tensor = _PooledDistance.apply(pooled, slope, phase)
        return distance.to(a.dtype)


def draw(batch: int, channels: int) -> tuple[Tensor, Tensor]:
    """w (B, 1) and b (B, C) of the random map, from the CPU's default generator."""
    return torch.randn(batch, 1), 2 * math.pi * torch.rand(batch, channels)


class _PooledDistance(torch.autograd.Function):
    """Of pooled features (B, 2, C). The gradient is made beside the value: at this size calls are all that costs.

    It is a constant to autograd: there are no second derivatives.
    """

    @staticmethod
    def forward(ctx: Any, pooled: Tensor, slope: Tensor, phase: Tensor) -> Tensor:
        centred = pooled - pooled.mean(0)
        mapped = _Map(centred, slope, phase)
        distance, (by_centred, by_mapped) = _moment_distance(torch.stack((centred, mapped.value)))
        gradient = mapped.gradient(by_mapped).add_(by_centred)
        ctx.save_for_backward(gradient.sub_(gradient.mean(0)))
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * factor, None, None


class _Map:
    """√2·(cos p + sin p) = 2·cos(p - π/4), (..., C), where p is w·u + b scaled to [0, π/2] over the channels.

    Equal channels, which would be 0/0, map to p = 0.
    """

    def __init__(self, u: Tensor, slope: Tensor, phase: Tensor) -> None:
        wave = torch.addcmul(phase, slope, u)
        (low, self._lowest), (high, self._highest) = wave.min(-1, keepdim=True), wave.max(-1, keepdim=True)
        self._stretch = (math.pi / 2) / (high - low).clamp_min_(torch.finfo(u.dtype).tiny)
        self._slope, self._angle = slope, wave.sub_(low).mul_(self._stretch)  # the angle is p
        self._shifted = self._angle - math.pi / 4
        self.value = torch.cos(self._shifted).mul_(2)

    def gradient(self, outer: Tensor) -> Tensor:
        """By u, of a function whose gradient by `value` is `outer`."""
        by_p = torch.sin(self._shifted).mul_(outer).mul_(-2)
        # p = (x - low)·(π/2) / (high - low) for x = w·u + b: the extremes, too, are channels of x
        by_high = (by_p * self._angle).sum(-1, keepdim=True).mul_(-2 / math.pi)
        by_low = by_p.sum(-1, keepdim=True).add_(by_high).neg_()
        channel = torch.arange(by_p.shape[-1], device=by_p.device)
        for extreme, more in ((self._lowest, by_low), (self._highest, by_high)):
            # not scatter_add_, whose deterministic form on a GPU cannot be recorded in every version of torch
            by_p += torch.where(channel == extreme, more, 0)
        return by_p.mul_(self._stretch * self._slope)


def _moment_distance(views: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over all pairs u, v of mean (u-v)² + mean (uuᵀ-vvᵀ)², and its gradient, of `views` (..., 2, C).

    With d = u - v and s = u + v, ‖uuᵀ-vvᵀ‖² = ½(‖d‖²‖s‖² + (d·s)²): no C×C matrix is made.
    """
    u, v = views.unbind(-2)
    d, s, channels = u - v, u + v, u.shape[-1]
    dd, ss, ds = (d * d).sum(-1, keepdim=True), (s * s).sum(-1, keepdim=True), (d * s).sum(-1, keepdim=True)
    weight = ss + 2 * channels  # of the means' ‖d‖²/C beside the moments', both times 2·C²
    distance = torch.addcmul(ds * ds, dd, weight).sum() / (2 * channels**2)
    by_d = torch.addcmul(d * weight, s, ds)
    by_s = torch.addcmul(s * dd, d, ds)
    return distance, torch.stack((by_s + by_d, by_s - by_d), dim=-2).div_(channels**2)
