"""Alignment relative to content: views of one patch closer to each other than those of different patches."""

import torch
from torch import Tensor

from blindsr.plugins.regularizers.base import Alignment, Regularizer, Step
from blindsr.plugins.regularizers.operators import affine, checks


def build(*, ridge: float = 0.01, floor: float = 0.05) -> Regularizer:
    """Two views; the divergence of `affine_alignment` of the views of a patch, over that of different patches.

    With w the mean divergence of two views of one patch and c that of views of two patches of the batch:
    w / (c + floor) + max(0, 1 - c / floor)². The first term is a Fisher ratio of the statistics. The second keeps
    contents apart (the idea is VICReg's): features that do not depend on the image cost 1 instead of nothing.

    Args:
        ridge: As for `affine_alignment`.
        floor: Divergence per channel that different patches shall have at least, > 0.

    Raises:
        ValueError: for another ridge or floor.
    """
    return _ContentAlignment(checks.positive("ridge", ridge), checks.positive("floor", floor))


class _ContentAlignment(Alignment):
    replayable = False  # as affine_alignment

    def __init__(self, ridge: float, floor: float) -> None:
        super().__init__()
        self.ridge = ridge
        self.floor = floor

    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        white = affine.whitened(affine.moments(a, b, step.share), self.ridge)
        count = len(white.mean)  # of one patch there is nothing to compare with
        within = affine.of_views(white).mean()
        between = affine.of_contents(white).sum() / max(1, count * (count - 1))
        missing = torch.relu(1 - between / self.floor)
        return (within / (between + self.floor) + missing.square()).to(a.dtype)
