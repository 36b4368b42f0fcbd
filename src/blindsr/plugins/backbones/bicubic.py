"""Bicubic upsampling, the baseline without weights: Pillow's, up to its last rounding."""

import torch
import torch.nn.functional as F
from torch import Tensor

from blindsr.plugins.backbones.base import Backbone, require_counts

_REACH = 2  # px to each side of the cubic's support
_FIXED_POINT = 2**22  # Pillow's weights of 8-bit images are whole multiples of its inverse


def build(*, scale: int = 4) -> Backbone:
    """Bicubic upsampling: no parameters, no layers, and so no features.

    Args:
        scale: HR px along a side of an LR px, a whole number >= 1.

    Returns:
        Its result is clamped to [0, 1]. For 8-bit LR images it is, rounded to 8 bits, that of Pillow's
        `Image.resize(..., BICUBIC)`.

    Raises:
        ValueError: for another scale.
    """
    require_counts(scale=scale)
    return _Bicubic(scale)


class _Bicubic(Backbone):
    """As in Pillow the width comes first, and what enters the second pass has been clipped and rounded to 8 bits.

    The first pass is exact, in float64, since a level that a tie sends the other way there can become two.
    """

    last = ""

    def forward(self, lr: Tensor) -> Tensor:
        return self.upsample(lr).clamp(0, 1)

    def upsample(self, lr: Tensor) -> Tensor:
        """The upsampled images, which may leave [0, 1]."""
        if lr.device.type == "mps":  # which has no float64
            return self.upsample(lr.cpu()).to(lr.device)
        levels = 255 * lr.to(torch.promote_types(lr.dtype, torch.float32))
        wide = _upsample_height(levels.mT.double(), self.scale).add_(0.5).floor_().clamp_(0, 255).mT
        return (_upsample_height(wide.to(levels.dtype), self.scale) / 255).to(lr.dtype)


def _upsample_height(x: Tensor, scale: int) -> Tensor:
    """(..., H, W) → (..., scale · H, W).

    The output pixels that fall into input pixel i see the inputs i - 2 … i + 2. Sums instead of a convolution,
    which would be computed in TF32 or bfloat16 where those are on: that costs up to a level.
    """
    height = x.shape[-2]
    padded = F.pad(x, (0, 0, _REACH, _REACH))
    result = x.new_zeros(*x.shape[:-1], scale, x.shape[-1])
    for tap, weight in enumerate(_weights(height, scale, x.device).to(x.dtype)):
        result.addcmul_(padded[..., tap : tap + height, None, :], weight)
    return result.flatten(-3, -2)


def _weights(size: int, scale: int, device: torch.device) -> Tensor:
    """(5, size, scale, 1): those of the inputs i - 2 … i + 2 in each of the outputs of input i.

    Inputs beyond the border get none, and the others sum to 1.
    """
    taps = torch.arange(-_REACH, _REACH + 1, device=device)[:, None, None]
    inputs = taps + torch.arange(size, device=device)[None, :, None]
    centres = (torch.arange(scale, device=device, dtype=torch.float64) + 0.5) / scale - 0.5
    weights = _cubic(taps - centres) * ((inputs >= 0) & (inputs < size))
    weights = weights / weights.sum(0)
    return ((weights * _FIXED_POINT).round() / _FIXED_POINT)[..., None]


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5."""
    t = distance.abs()
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, 0))
