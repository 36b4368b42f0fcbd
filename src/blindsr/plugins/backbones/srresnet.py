"""SRResNet without normalization: the MSRResNet of ESRGAN and of the paper.

Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", CVPR 2017.
1.518 M parameters and 5.19 GFLOP (two per multiply-add) for one 32×32 LR image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blindsr.plugins.backbones.base import (
    MOST_BLOCKS,
    Backbone,
    PixelShuffle,
    conv3x3,
    kaiming_,
    require_counts,
    require_scale,
)


def build(*, scale: int = 4, num_blocks: int = 16, num_features: int = 64) -> Backbone:
    """Residual blocks, pixel-shuffle upsampling, and a bilinear upsampling of the input added to the result.

    State-dict names and function are those of BasicSR's MSRResNet (basicsr/archs/srresnet_arch.py); the
    initialization is that of the paper's released code, in which the first upsampling convolution keeps PyTorch's
    default.

    Args:
        scale: 2, 3 or 4.
        num_blocks: >= 1; 16 in the paper.
        num_features: Channels, >= 1; 64 in the paper.

    Raises:
        ValueError: for other values.
    """
    require_scale(scale, 2, 3, 4)
    require_counts(MOST_BLOCKS, num_blocks=num_blocks)
    require_counts(num_features=num_features)
    return _SRResNet(scale, num_blocks, num_features)


class _SRResNet(Backbone):
    def __init__(self, scale: int, num_blocks: int, channels: int) -> None:
        super().__init__(scale)
        self.conv_first = conv3x3(3, channels)
        self.body = nn.Sequential(*(_ResidualBlock(channels) for _ in range(num_blocks)))
        self.blocks = [f"body.{number}" for number in range(num_blocks)]
        factor = 2 if scale == 4 else scale
        self.upconv1 = conv3x3(channels, factor**2 * channels)
        self.upconv2 = conv3x3(channels, factor**2 * channels) if scale == 4 else None
        self.shuffle = PixelShuffle(factor)
        self.conv_hr = conv3x3(channels, channels)
        self.conv_last = conv3x3(channels, 3)
        kaiming_(self.conv_first, self.conv_hr, self.conv_last, scale=0.1)
        if self.upconv2 is not None:
            kaiming_(self.upconv2, scale=0.1)

    def forward(self, lr: Tensor) -> Tensor:
        x = self.body(_activate(self.conv_first(lr)))
        # the public code shuffles, then activates: the same numbers, but a shuffled image may be a view, and a change
        # in place of a view costs copies of its gradient
        x = self.shuffle(_activate(self.upconv1(x)))
        if self.upconv2 is not None:
            x = self.shuffle(_activate(self.upconv2(x)))
        base = F.interpolate(lr, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return base + self.conv_last(_activate(self.conv_hr(x)))


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        kaiming_(self.conv1, self.conv2, scale=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(torch.relu_(self.conv1(x)))


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1, inplace=True)
