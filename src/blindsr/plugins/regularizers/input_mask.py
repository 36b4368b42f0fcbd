"""Masked training (Chen et al., "Masked Image Training for Generalizable Deep Image Denoising", CVPR 2023)."""

import torch
from torch import Tensor

from blindsr.plugins.regularizers.base import Regularizer, Step
from blindsr.plugins.regularizers.operators import checks


def build(*, least: float = 0.75, most: float = 0.85) -> Regularizer:
    """Set a random share of the LR pixels to the image's mean colour; the network has to fill them in.

    The share is drawn anew for each sample, and which pixels it is, too. Acts in training mode only, and adds no
    penalty. The public code (haoyuc/MaskedDenoising) masks the features of the first convolution with a learned
    token, and attention as well, in SwinIR alone; here it is the input, so that every network can be trained so.

    Args:
        least: Smallest share that is masked, in [0, 1).
        most: Largest, in [least, 1).

    Raises:
        ValueError: for other values.
    """
    smallest, largest = checks.share("least", least, "[0, 1)"), checks.share("most", most, "[0, 1)")
    if smallest > largest:
        raise ValueError(f"least {least!r} must not be above most {most!r}")
    return _InputMask(smallest, largest)


class _InputMask(Regularizer):
    def __init__(self, least: float, most: float) -> None:
        super().__init__()
        self.least = least
        self.most = most

    def change_input(self, lr: Tensor, step: Step) -> Tensor:
        if not self.training:
            return lr
        count, height, width = len(lr) * step.share.ranks, *lr.shape[2:]
        drawn = step.draw(lambda: (torch.rand(count, 1, 1, 1), torch.rand(count, 1, height, width)), lr)
        share, pixels = (step.share.of(values) for values in drawn)
        masked = pixels < self.least + (self.most - self.least) * share
        return torch.where(masked, lr.mean((2, 3), keepdim=True), lr)
