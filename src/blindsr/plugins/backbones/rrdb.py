"""RRDB, the generator of ESRGAN: residual-in-residual dense blocks.

Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCV workshops 2018.
16.70 M parameters and 36.7 GFLOP (two per multiply-add) for one 32×32 LR image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blindsr.plugins.backbones.base import (
    MOST_BLOCKS,
    Backbone,
    conv3x3,
    kaiming_,
    pad_to_multiple,
    require_counts,
    require_scale,
)


def build(*, scale: int = 4, num_blocks: int = 23, num_features: int = 64, growth: int = 32) -> Backbone:
    """Blocks of three dense blocks, nearest upsampling and convolutions (ESRGAN, Wang et al., 2018).

    State-dict names, function and initialization are those of BasicSR's RRDBNet (basicsr/archs/rrdbnet_arch.py): ×2
    and ×1 are the ×4 network on 2×2 and 4×4 LR pixels as channels of one.

    Args:
        scale: 1, 2 or 4.
        num_blocks: >= 1; 23 in the paper.
        num_features: Channels, >= 1; 64 in the paper.
        growth: Channels that each convolution of a dense block adds, >= 1; 32 in the paper.

    Raises:
        ValueError: for other values.
    """
    require_scale(scale, 1, 2, 4)
    require_counts(MOST_BLOCKS, num_blocks=num_blocks)
    require_counts(num_features=num_features, growth=growth)
    return _RRDBNet(scale, num_blocks, num_features, growth)


class _RRDBNet(Backbone):
    def __init__(self, scale: int, num_blocks: int, channels: int, growth: int) -> None:
        super().__init__(scale)
        self.fold = 4 // scale
        self.conv_first = conv3x3(3 * self.fold**2, channels)
        self.body = nn.Sequential(*(_RRDB(channels, growth) for _ in range(num_blocks)))
        self.blocks = [f"body.{number}" for number in range(num_blocks)]
        self.conv_body = conv3x3(channels, channels)
        self.conv_up1 = conv3x3(channels, channels)
        self.conv_up2 = conv3x3(channels, channels)
        self.conv_hr = conv3x3(channels, channels)
        self.conv_last = conv3x3(channels, 3)

    def forward(self, lr: Tensor) -> Tensor:
        height, width = lr.shape[-2:]
        if self.fold > 1:  # to whole blocks of pixels, by reflection at the bottom and right
            lr = F.pixel_unshuffle(pad_to_multiple(lr, self.fold), self.fold)
        x = self.conv_first(lr)
        x = x + self.conv_body(self.body(x))
        x = _activate(self.conv_up1(F.interpolate(x, scale_factor=2, mode="nearest")))
        x = _activate(self.conv_up2(F.interpolate(x, scale_factor=2, mode="nearest")))
        x = _activate(self.conv_hr(x))
        if self.fold > 1:
            x = x[..., : self.scale * height, : self.scale * width]
        return self.conv_last(x)


class _RRDB(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = _DenseBlock(channels, growth)
        self.rdb2 = _DenseBlock(channels, growth)
        self.rdb3 = _DenseBlock(channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.rdb3(self.rdb2(self.rdb1(x))), alpha=0.2)


class _DenseBlock(nn.Module):
    """Each convolution sees the block's input and the outputs of all convolutions before it."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, growth)
        self.conv2 = conv3x3(channels + growth, growth)
        self.conv3 = conv3x3(channels + 2 * growth, growth)
        self.conv4 = conv3x3(channels + 3 * growth, growth)
        self.conv5 = conv3x3(channels + 4 * growth, channels)
        kaiming_(self.conv1, self.conv2, self.conv3, self.conv4, self.conv5, scale=0.1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat((seen, _activate(convolution(seen))), 1)
        return torch.add(x, self.conv5(seen), alpha=0.2)


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2, inplace=True)
