"""Stochastic frequency masking (El Helou et al., "Stochastic Frequency Masking to Improve Super-Resolution and
Denoising Networks", ECCV 2020)."""

import functools
import math

import torch
from torch import Tensor

from blindsr.plugins.regularizers.base import Regularizer, Step
from blindsr.plugins.regularizers.operators import checks


def build(*, probability: float = 0.5) -> Regularizer:
    """Zero a random band of the DCT of each LR image, with a probability; the image's mean is always kept.

    A band holds the frequencies whose distance from 0, as a share of the largest, lies between two numbers that are
    drawn uniformly for each sample: the "central" mode of the paper, which it uses for super-resolution. Acts in
    training mode only, and adds no penalty. The public code (majedelhelou/SFM) masks the HR patch before it is
    downscaled; here the degraded LR image is masked, since that is what every network sees.

    Args:
        probability: That a sample is masked, in [0, 1].

    Raises:
        ValueError: for another probability.
    """
    return _FrequencyMask(checks.share("probability", probability))


class _FrequencyMask(Regularizer):
    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def change_input(self, lr: Tensor, step: Step) -> Tensor:
        if not self.training:
            return lr
        count = len(lr) * step.share.ranks
        chance, ends = step.draw(lambda: (torch.rand(count, 1, 1), torch.rand(count, 2, 1, 1)), lr)
        low, high = step.share.of(ends).sort(dim=1).values.unbind(1)
        rows, columns = (dct_basis(length, lr.device) for length in lr.shape[2:])
        height, width = (torch.linspace(0, 1, length + 1, device=lr.device)[:-1] for length in lr.shape[2:])
        radius = (height[:, None].square() + width.square()).sqrt() / math.sqrt(2)
        masked = (radius >= low) & (radius <= high) & (step.share.of(chance) < self.probability)
        masked[:, 0, 0] = False
        kind = "cpu" if lr.is_meta else lr.device.type  # where costs are counted, nothing is cast
        with torch.autocast(kind, enabled=False):
            spectrum = rows @ lr @ columns.T
            return rows.T @ spectrum.masked_fill(masked[:, None], 0) @ columns


@functools.lru_cache(8)
def dct_basis(length: int, device: torch.device) -> Tensor:
    """The orthonormal DCT-II as a matrix. It is kept on the device, which is not to wait for it in each step.

    Args:
        length: px of a line.
        device: Where the matrix is used.

    Returns:
        float32 (length, length): frequency, pixel.
    """
    frequency, pixel = torch.arange(length, dtype=torch.float64)[:, None], torch.arange(length) + 0.5
    basis = math.sqrt(2 / length) * torch.cos(math.pi / length * frequency * pixel)
    basis[0] /= math.sqrt(2)
    return basis.float().to(device)
