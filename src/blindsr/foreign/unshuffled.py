"""RRDB for ×2 and ×1 as BasicSR and Real-ESRGAN publish it: the ×4 network on a pixel-unshuffled input."""

import torch.nn.functional as F
from torch import Tensor, nn


class Unshuffled(nn.Module):
    """A ×4 network with a `conv_first` that takes each square of factor × factor LR pixels as channels of one pixel.

    (B, 3, h, w) → (B, 3, 4h / factor, 4w / factor). Sides that are no multiple of the factor are extended at the
    bottom and right by repeating the last row and column, and the result is cropped.
    """

    def __init__(self, network: nn.Module, factor: int) -> None:
        """`network` is changed: its `conv_first` is replaced by a new one, whose weights are still to be loaded."""
        super().__init__()
        first = network.conv_first
        assert isinstance(first, nn.Conv2d)
        channels = first.in_channels * factor**2
        network.conv_first = nn.Conv2d(channels, first.out_channels, 3, padding=1)
        self.network, self.factor = network, factor
        self.scale = 4 // factor

    def forward(self, lr: Tensor) -> Tensor:
        height, width = lr.shape[2:]
        extended = F.pad(lr, (0, -width % self.factor, 0, -height % self.factor), mode="replicate")
        sr: Tensor = self.network(F.pixel_unshuffle(extended, self.factor))
        return sr[..., : height * self.scale, : width * self.scale]
