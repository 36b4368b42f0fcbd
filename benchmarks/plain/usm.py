"""Unsharp masking with a dense two-dimensional Gaussian."""

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor


def dense_kernel(radius: int = 50) -> Tensor:
    """The (radius | 1)² Gaussian of OpenCV's rule, as the weight of a convolution (1, 1, side, side)."""
    line = torch.from_numpy(cv2.getGaussianKernel(radius | 1, 0))
    return (line @ line.T).float()[None, None]


def sharpen(images: Tensor, kernel: Tensor, weight: float = 0.5, threshold: float = 10) -> Tensor:
    """Sharpen images (N, 3, H, W) where they differ from their blur by more than `threshold` / 255."""
    residual = images - _blur(images, kernel)
    mask = _blur((residual.abs() * 255 > threshold).float(), kernel)
    sharp = (images + weight * residual).clip(0, 1)
    return mask * sharp + (1 - mask) * images


def _blur(images: Tensor, kernel: Tensor) -> Tensor:
    n, channels, height, width = images.shape
    padded = F.pad(images, [kernel.shape[-1] // 2] * 4, mode="reflect")
    return F.conv2d(padded.flatten(0, 1)[:, None], kernel).view(n, channels, height, width)
