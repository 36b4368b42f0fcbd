"""What the authors' released code computes, which is not what the paper's text says: see `rff` for that."""

import math

import torch
from torch import Tensor

from blindsr.regularizers._blocks import Regularizer, upload


def build() -> Regularizer:
    """Two views; penalty on pooled features, summed over the batch, as in realesrgan/models/realesrnet_model.py.

    Features are averaged over the pixels to (B, C), and each view is centred over the batch. A pair u, v costs
    mean (u-v)² + mean (uuᵀ-vvᵀ)², and the same again of √2·(cos p + sin p), where p is w·u + b scaled to
    [0, π/2] over the channels: per sample one w ~ N(0, 1), and b (C) ~ U(0, 2π), the same for both views, from
    torch's default generator of the CPU.

    Since the batch's mean is removed, a shift that all pairs share costs nothing, and a batch of one costs 0.
    """
    return _Released()


class _Released(Regularizer):
    views = 2

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        # In float64, which costs nothing at this size: beside b, float32 rounds the small w·(u - v) away. Both views,
        # and then both kinds of moments, go through the same calls: their number is what this costs. The whole batch
        # is needed, of which this process may have a part.
        pooled = torch.stack((a.mean((2, 3)), b.mean((2, 3))), dim=1).double()  # (B, views, C)
        pooled = self.share.gather(pooled)
        centred = pooled - pooled.mean(0)
        slope, phase = (upload(drawn, centred).unsqueeze(1) for drawn in draw(len(pooled), a.shape[1]))
        u, v = torch.stack((centred, _map(centred, slope, phase))).unbind(2)
        return _moment_distance(u, v).to(a.dtype)


def draw(batch: int, channels: int) -> tuple[Tensor, Tensor]:
    """w (B, 1) and b (B, C) of the random map, from the CPU's default generator."""
    return torch.randn(batch, 1), 2 * math.pi * torch.rand(batch, channels)


def _map(u: Tensor, slope: Tensor, phase: Tensor) -> Tensor:
    """√2·(cos p + sin p) = 2·cos(p - π/4), (..., C); equal channels, which would be 0/0, map to p = 0."""
    p = torch.addcmul(phase, slope, u)
    low, high = p.min(-1, keepdim=True).values, p.max(-1, keepdim=True).values
    stretch = (math.pi / 2) / (high - low).clamp_min(torch.finfo(p.dtype).tiny)
    return 2 * torch.cos((p - low) * stretch - math.pi / 4)


def _moment_distance(u: Tensor, v: Tensor) -> Tensor:
    """Sum over all rows (..., C) of mean (u-v)² + mean (uuᵀ-vvᵀ)², without the C×C matrices.

    With d = u - v and s = u + v, ‖uuᵀ-vvᵀ‖² = ½(‖d‖²‖s‖² + (d·s)²).
    """
    d, s = u - v, u + v
    channels = u.shape[-1]
    squared = d.square().sum(-1)
    outer = squared * s.square().sum(-1) + (d * s).sum(-1).square()
    return squared.sum() / channels + outer.sum() / (2 * channels**2)
