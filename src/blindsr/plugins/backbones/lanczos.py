"""Lanczos upsampling, a control without weights: Pillow's, up to its last rounding."""

import torch
import torch.nn.functional as F
from torch import Tensor

from blindsr.plugins.backbones.base import Backbone, require_counts

_REACH = 3  # px to each side of the kernel's support
_FIXED_POINT = 2**22  # Pillow's weights of 8-bit images are whole multiples of its inverse


def build(*, scale: int = 4) -> Backbone:
    """Lanczos upsampling with three lobes: no parameters, no layers, and so no features.

    Args:
        scale: HR px along a side of an LR px, a whole number >= 1.

    Returns:
        Its result lies in [0, 1]. For 8-bit LR images it is, rounded to 8 bits, that of Pillow's
        `Image.resize(..., LANCZOS)`.

    Raises:
        ValueError: for another scale.
    """
    require_counts(scale=scale)
    return _Lanczos(scale)


class _Lanczos(Backbone):
    """As in Pillow the width comes first, and both passes end clipped and rounded to 8 bits."""

    last = ""

    def forward(self, lr: Tensor) -> Tensor:
        if lr.device.type == "mps":  # which has no float64
            return self.forward(lr.cpu()).to(lr.device)
        wide = _upsample_height(255 * lr.double().mT, self.scale).mT
        return (_upsample_height(wide, self.scale) / 255).to(lr.dtype)


def _upsample_height(levels: Tensor, scale: int) -> Tensor:
    """(..., H, W) → (..., scale · H, W), whole levels of 0..255.

    The output pixels that fall into input pixel i see the inputs i - 3 … i + 3.
    """
    height = levels.shape[-2]
    inputs = F.pad(levels, (0, 0, _REACH, _REACH)).unfold(-2, height, 1)  # (..., 7, W, H)
    result = torch.einsum("...twh,ths->...hsw", inputs, _weights(height, scale, levels.device))
    return result.flatten(-3, -2).add_(0.5).floor_().clamp_(0, 255)


def _weights(height: int, scale: int, device: torch.device) -> Tensor:
    """(7, height, scale): those of the inputs i - 3 … i + 3 in each of the outputs of input i.

    Inputs beyond the border get none, and the others sum to 1.
    """
    taps = torch.arange(-_REACH, _REACH + 1, device=device)[:, None, None]
    inputs = taps + torch.arange(height, device=device)[None, :, None]
    centres = (torch.arange(scale, device=device, dtype=torch.float64) + 0.5) / scale - 0.5
    distance = taps - centres
    kernel = torch.sinc(distance) * torch.sinc(distance / _REACH) * (distance.abs() < _REACH)
    weights = kernel * ((inputs >= 0) & (inputs < height))
    weights = weights / weights.sum(0)
    return (weights * _FIXED_POINT).round() / _FIXED_POINT
