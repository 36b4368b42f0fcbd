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
        wide = _upsample_width(levels, self.scale).add_(0.5).floor_().clamp_(0, 255)
        return (_upsample_width(wide.mT, self.scale).mT / 255).to(lr.dtype)

    def reconstruct(self, features: Tensor, lr: Tensor) -> Tensor:
        return features.clamp(0, 1)


def _upsample_width(x: Tensor, scale: int) -> Tensor:
    """(..., W) → (..., scale · W). Taps beyond the border are left out and the others made to sum to 1."""
    return _weighted(x, scale) / _weighted(x.new_ones(x.shape[-1]), scale)


def _weighted(x: Tensor, scale: int) -> Tensor:
    """(..., W) → (..., scale · W), with zeros beyond the border.

    Pixel p of the scale ones that fall into input pixel i sees the inputs i - 2 … i + 2. Sums instead of a
    convolution: that would be computed in TF32 or bfloat16 where those are on, which cost up to a level.
    """
    width = x.shape[-1]
    padded = F.pad(x, (_REACH, _REACH))
    centres = (torch.arange(scale, device=x.device, dtype=x.dtype) + 0.5) / scale - 0.5
    result = x.new_zeros(*x.shape, scale)
    for tap in range(2 * _REACH + 1):
        result.addcmul_(padded[..., tap : tap + width, None], _cubic(tap - _REACH - centres))
    return result.flatten(-2)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5."""
    t = distance.abs()
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, 0))
