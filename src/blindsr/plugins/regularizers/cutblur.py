"""CutBlur (Yoo et al., "Rethinking Data Augmentation for Image Super-resolution: A Comprehensive Analysis and a New
Strategy", CVPR 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from blindsr.plugins.regularizers.base import Regularizer, Step
from blindsr.plugins.regularizers.operators import checks


def build(*, ratio: float = 0.7, probability: float = 1.0) -> Regularizer:
    """Exchange a rectangle of the degraded LR image for the clean one, or all but that rectangle.

    So a network sees where, and how much, it has to restore. The clean LR image is the HR image averaged over the
    areas of the LR pixels. Acts in training mode only, and adds no penalty. The public code (clovaai/cutblur) pastes
    HR pixels into an LR image that was enlarged to HR size, which only networks of HR input can take; here both have
    LR size.

    Args:
        ratio: Side of the rectangle over that of the image, in (0, 1]; its place is drawn for each sample.
        probability: That a sample is changed, in [0, 1]; half of them get the rectangle, half all but it.

    Raises:
        ValueError: for other values.
    """
    return _CutBlur(checks.share("ratio", ratio, "(0, 1]"), checks.share("probability", probability))


class _CutBlur(Regularizer):
    def __init__(self, ratio: float, probability: float) -> None:
        super().__init__()
        self.ratio = ratio
        self.probability = probability

    def change_input(self, lr: Tensor, step: Step) -> Tensor:
        if not self.training:
            return lr
        count = len(lr) * step.share.ranks
        (drawn,) = step.draw(lambda: (torch.rand(count, 4),), lr)
        chance, half, *place = step.share.of(drawn).unbind(1)
        inside = torch.ones(len(lr), 1, *lr.shape[2:], dtype=torch.bool, device=lr.device)
        for axis, start in zip((2, 3), place, strict=True):
            length = lr.shape[axis]
            side = max(1, round(self.ratio * length))
            first = (start * (length - side + 1)).floor().view(-1, 1)
            pixel = torch.arange(length, device=lr.device)
            shape = [-1, 1, 1, 1]
            shape[axis] = length
            inside = inside & ((pixel >= first) & (pixel < first + side)).view(shape)
        clean = F.avg_pool2d(step.hr, step.hr.shape[2] // lr.shape[2]).repeat(step.views, 1, 1, 1)
        chosen = inside ^ (half < 0.5).view(-1, 1, 1, 1)
        return torch.where(chosen & (chance < self.probability).view(-1, 1, 1, 1), clean.to(lr), lr)
