"""Linear plus nonlinear alignment, the paper's method: the same statistics on random Fourier features too.

Random Fourier features: Rahimi & Recht, "Random Features for Large-Scale Kernel Machines", NeurIPS 2007.
"""

import math

import torch
from torch import Tensor

from blindsr.plugins.regularizers.base import Alignment, Regularizer, Step
from blindsr.plugins.regularizers.operators import checks
from blindsr.plugins.regularizers.operators.moments import RandomMap, statistics_distance, subsampled


def build(*, dim: int = 32, sigma: float = 1.0, stride: int = 1) -> Regularizer:
    """Two views; penalty: that of `linear`, plus the same of φ(a) and φ(b), mean over the batch: the paper's method.

    φ: R^C -> R^dim, per pixel: φ(x) = √(2/dim)·cos(Wx + b), W ~ N(0, 1/sigma²), b ~ U(0, 2π), so that φ(x)·φ(y)
    approximates exp(-‖x-y‖² / 2·sigma²). Both views get one draw, new in each call, from torch's default generator of
    the CPU: the same on every device. The paper states neither `dim` nor `sigma`.

    Args:
        dim: Random features, >= 1; the cost grows with it, and is at 32 twice that of `linear`.
        sigma: Bandwidth in units of the features, > 0.
        stride: As for `linear`.

    Raises:
        ValueError: for other values.
    """
    return _RandomFourierFeatures(
        checks.count("dim", dim), checks.positive("sigma", sigma), checks.count("stride", stride)
    )


class _RandomFourierFeatures(Alignment):
    def __init__(self, dim: int, sigma: float, stride: int) -> None:
        super().__init__()
        self.dim = dim
        self.sigma = sigma
        self.stride = stride
        self.replayable = stride == 1

    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        a, b = subsampled(a, b, self.stride)
        channels = a.shape[1]
        weight, phase = step.draw(lambda: draw(channels, self.dim, self.sigma), a)
        return statistics_distance(a.flatten(2), b.flatten(2), RandomMap(weight, phase, math.sqrt(2 / self.dim)))


def draw(channels: int, dim: int, sigma: float) -> tuple[Tensor, Tensor]:
    """W (dim, channels) and b (dim) of φ, from the CPU's default generator."""
    return torch.randn(dim, channels) / sigma, 2 * math.pi * torch.rand(dim)
