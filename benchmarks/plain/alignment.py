"""The alignment penalties pair by pair, differentiated by autograd."""

import math

import torch
from torch import Tensor


def linear(a: Tensor, b: Tensor) -> Tensor:
    """‖μ(a)-μ(b)‖² + ‖Σ(a)-Σ(b)‖_F² of features (B, C, H, W), mean over the pairs."""
    total = a.new_zeros(())
    for x, y in zip(a, b, strict=True):
        total = total + _gap(x.flatten(1), y.flatten(1))
    return total / len(a)


def rff(a: Tensor, b: Tensor, weight: Tensor, phase: Tensor) -> Tensor:
    """`linear` plus the same of φ(x) = √(2/D) cos(Wx + b), with `weight` W (D, C) and `phase` b (D)."""
    scale = math.sqrt(2 / len(weight))
    total = a.new_zeros(())
    for x, y in zip(a, b, strict=True):
        x, y = x.flatten(1), y.flatten(1)
        mapped_x, mapped_y = (scale * torch.cos(weight @ pixels + phase[:, None]) for pixels in (x, y))
        total = total + _gap(x, y) + _gap(mapped_x, mapped_y)
    return total / len(a)


def rff_released(a: Tensor, b: Tensor, slope: Tensor, phase: Tensor) -> Tensor:
    """The released penalty: pooled features, centred over the batch, C×C matrices pair by pair, summed.

    `slope` w (B, 1) and `phase` b (B, C) make the random map of a pair, which takes both views at once.
    """
    u_all, v_all = (view.mean((2, 3)) for view in (a, b))
    u_all, v_all = u_all - u_all.mean(0, keepdim=True), v_all - v_all.mean(0, keepdim=True)
    linear_part, mapped_part = a.new_zeros(()), a.new_zeros(())
    for u, v, w, shift in zip(u_all, v_all, slope, phase, strict=True):
        mapped_u, mapped_v = _released_map(torch.stack([u, v])[..., None], w.view(1, 1), shift[:, None])
        linear_part = linear_part + _moments(u[None], v[None])
        mapped_part = mapped_part + _moments(mapped_u.T, mapped_v.T)
    return linear_part + mapped_part


def _gap(x: Tensor, y: Tensor) -> Tensor:
    mean_x, mean_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    covariance_x, covariance_y = ((z - m) @ (z - m).T / z.shape[1] for z, m in ((x, mean_x), (y, mean_y)))
    return (mean_x - mean_y).square().sum() + (covariance_x - covariance_y).square().sum()


def _released_map(pair: Tensor, weight: Tensor, shift: Tensor) -> Tensor:
    """√2 (cos p + sin p) of both views (2, C, 1), p = w x + b scaled to [0, π/2] over the channels."""
    p = torch.matmul(pair, weight.T) + shift
    p = p - p.min(dim=1, keepdim=True)[0]
    p = p / p.max(dim=1, keepdim=True)[0]
    p = p * (math.pi / 2)
    return torch.sqrt(p.new_tensor(2.0)) * (torch.cos(p) + torch.sin(p))


def _moments(x: Tensor, y: Tensor) -> Tensor:
    """Mean of (x-y)² and of (xᵀx - yᵀy)², for rows (1, C)."""
    return (x - y).pow(2).mean() + (x.t() @ x - y.t() @ y).pow(2).mean()
