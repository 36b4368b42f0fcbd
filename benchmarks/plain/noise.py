"""Noise of a batch: colour noise for all, grey noise beside it, and a weight that picks one of the two."""

import torch
from torch import Tensor

_LUMA = torch.tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)


def add_gaussian(images: Tensor, sigma: Tensor, grey: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] plus normal noise of `sigma` / 255; `grey` (N) is 1 for one map per image."""
    sigma, grey = sigma.view(-1, 1, 1, 1) / 255, grey.view(-1, 1, 1, 1)
    noise = torch.randn(images.shape) * sigma
    if grey.any():
        noise = noise * (1 - grey) + torch.randn(len(images), 1, *images.shape[2:]) * sigma * grey
    return (images + noise).clamp(0, 1)


def add_poisson(images: Tensor, scale: Tensor, grey: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] plus `scale` times their shot noise, from torch's default generator."""
    scale, grey = scale.view(-1, 1, 1, 1), grey.view(-1, 1, 1, 1)
    noise = _shot(images)
    if grey.any():
        noise = noise * (1 - grey) + _shot((images * _LUMA).sum(1, keepdim=True)) * grey
    return (images + noise * scale).clamp(0, 1)


def _shot(images: Tensor) -> Tensor:
    """Poisson(v x) / v - x, x rounded to 8 bits, v the power of two above the number of its distinct values."""
    x = (images * 255).round().clamp(0, 255) / 255
    distinct = torch.tensor([float(len(torch.unique(image))) for image in x])
    v = (2 ** distinct.log2().ceil()).view(-1, 1, 1, 1)
    return torch.poisson(x * v) / v - x
