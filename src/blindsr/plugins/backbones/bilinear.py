"""Bilinear upsampling: what SRResNet adds its output to, and so what a network is that adds nothing."""

import torch.nn.functional as F
from torch import Tensor

from blindsr.plugins.backbones.base import Backbone, require_counts


def build(*, scale: int = 4) -> Backbone:
    """No parameters and no settings; any scale. The result lies in [0, 1]. There are no layers, and so no features.

    Args:
        scale: HR px along a side of an LR px, a whole number >= 1.

    Returns:
        The upsampling of BasicSR's MSRResNet (basicsr/archs/srresnet_arch.py): centres of pixels are aligned.

    Raises:
        ValueError: for another scale.
    """
    require_counts(scale=scale)
    return _Bilinear(scale)


class _Bilinear(Backbone):
    last = ""

    def forward(self, lr: Tensor) -> Tensor:
        return F.interpolate(lr, scale_factor=self.scale, mode="bilinear", align_corners=False)
