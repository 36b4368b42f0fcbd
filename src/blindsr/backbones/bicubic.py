"""Bicubic upsampling, the baseline without weights: Pillow's, up to its last rounding."""

import torch
import torch.nn.functional as F
from torch import Tensor

from blindsr.backbones._blocks import Backbone, require_counts

_REACH = 2  # px to each side of the cubic's support


def build(*, scale: int = 4) -> Backbone:
    """No parameters and no settings; any scale. Raises ValueError unless scale is a whole number >= 1.

    `features` are the upsampled images themselves, float, and `reconstruct` clamps them to [0, 1]. For 8-bit LR
    images the result, rounded to 8 bits, is that of Pillow's `Image.resize(..., BICUBIC)`.
    """
    require_counts(scale=scale)
    return _Bicubic(scale)


class _Bicubic(Backbone):
    """As in Pillow the width comes first, and what enters the second pass has been clipped and rounded to 8 bits."""

    def features(self, lr: Tensor) -> Tensor:
        levels = 255 * lr.to(torch.promote_types(lr.dtype, torch.float32))
        wide = _upsample_height(levels.mT, self.scale).add_(0.5).floor_().clamp_(0, 255).mT
        return (_upsample_height(wide, self.scale) / 255).to(lr.dtype)

    def reconstruct(self, features: Tensor, lr: Tensor) -> Tensor:
        return features.clamp(0, 1)


def _upsample_height(x: Tensor, scale: int) -> Tensor:
    """(..., H, W) → (..., scale · H, W). Taps beyond the border are left out and the others made to sum to 1."""
    return _weighted(x, scale) / _weighted(x.new_ones(x.shape[-2], 1), scale)


def _weighted(x: Tensor, scale: int) -> Tensor:
    """(..., H, W) → (..., scale · H, W), with zeros beyond the border.

    The output pixels that fall into input pixel i see the inputs i - 2 … i + 2. Sums instead of a convolution,
    which would be computed in TF32 or bfloat16 where those are on: that costs up to a level.
    """
    height = x.shape[-2]
    padded = F.pad(x, (0, 0, _REACH, _REACH))
    centres = (torch.arange(scale, device=x.device, dtype=x.dtype)[:, None] + 0.5) / scale - 0.5
    result = x.new_zeros(*x.shape[:-1], scale, x.shape[-1])
    for tap in range(2 * _REACH + 1):
        result.addcmul_(padded[..., tap : tap + height, None, :], _cubic(tap - _REACH - centres))
    return result.flatten(-3, -2)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5."""
    t = distance.abs()
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, 0))
