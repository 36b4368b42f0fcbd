"""What backbones share: the names of their layers, checks of settings, upsampling by pixel shuffle."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """A super-resolution network: `forward(lr)` maps (B, 3, H, W) to (B, 3, scale · H, scale · W), RGB in [0, 1].

    The result is not clamped. Beside that it only says what its layers are called, so that others can look at what
    passes through them (`model.taps`). A network of another library is made one by setting these on it.
    """

    scale: int
    """Upscaling factor along each side."""
    last: str = "conv_last"
    """Name of the submodule whose input are the features: the last convolution."""
    blocks: Sequence[str] = ()
    """Names of the blocks that the network is a stack of, in order."""

    def __init__(self, scale: int) -> None:
        """`scale` is the upscaling factor along each side."""
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale.

        Args:
            lr: LR images (B, 3, H, W), RGB in [0, 1].

        Returns:
            SR images (B, 3, scale · H, scale · W), not clamped.
        """
        raise NotImplementedError


MOST_BLOCKS = 256
"""Of a network: each takes a moment to build, and the deepest ones of the field have 200."""


def require_scale(scale: int, *supported: int) -> None:
    """Refuse a scale that the architecture is not defined for.

    Args:
        scale: That is asked for.
        *supported: Those that there are.

    Raises:
        ValueError: for another one.
    """
    if isinstance(scale, bool) or scale not in supported:
        allowed = str(supported[0]) if len(supported) == 1 else f"one of {', '.join(map(str, supported))}"
        raise ValueError(f"scale must be {allowed}, not {scale!r}")


def require_counts(most: int = 4096, /, **counts: int) -> None:
    """Refuse what is no count, or more than anyone could train.

    Args:
        most: Largest that is taken.
        **counts: By the name that the message has.

    Raises:
        ValueError: unless every value is a whole number from 1 to `most`.
    """
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a whole number >= 1, not {value!r}")
        if value > most:
            raise ValueError(f"{name} must be at most {most}, not {value!r}")


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """3×3 convolution that keeps height and width (zero padding)."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


@torch.no_grad()
def kaiming_(*convolutions: nn.Conv2d, scale: float) -> None:
    """Kaiming normal weights (fan in, gain √2) times a factor, zero biases: BasicSR's `default_init_weights`.

    Args:
        *convolutions: Whose parameters are drawn, in order, from torch's default generator. On the meta device there
            is nothing to draw.
        scale: Factor of the weights.
    """
    for convolution in convolutions:
        if convolution.weight.is_meta:  # torch would load its compiler to draw nothing: seconds
            continue
        nn.init.kaiming_normal_(convolution.weight).mul_(scale)
        if convolution.bias is not None:
            convolution.bias.zero_()


def pixel_shuffle_upsampler(scale: int, channels: int) -> nn.Sequential:
    """Convolution and pixel shuffle without activation: once for ×2 and ×3, twice for ×4 (indices 0 and 2).

    Args:
        scale: 2, 3 or 4.
        channels: Of the features that come in and go out.
    """
    layers: list[nn.Module] = []
    for factor in (2, 2) if scale == 4 else (scale,):
        layers += [conv3x3(channels, factor**2 * channels), PixelShuffle(factor)]
    return nn.Sequential(*layers)


class PixelShuffle(nn.PixelShuffle):
    """torch's, but what is channels-last stays so: torch's output is not, and every layer behind it pays for that."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C·r², H, W) to (B, C, r·H, r·W)."""
        if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        n, channels, h, w = x.shape
        r = self.upscale_factor
        pixels = x.permute(0, 2, 3, 1).view(n, h, w, channels // r**2, r, r)
        return pixels.permute(0, 1, 4, 2, 5, 3).reshape(n, h * r, w * r, -1).permute(0, 3, 1, 2)


def pad_to_multiple(image: Tensor, step: int) -> Tensor:
    """Extend images at the bottom and right by reflection, as often as it takes.

    Args:
        image: (..., H, W).
        step: px whose multiples both sides become.

    Returns:
        (..., H', W'), the image itself at the top left.
    """
    for axis in (-2, -1):
        size = image.shape[axis]
        if size % step:
            period = max(2 * (size - 1), 1)
            position = torch.arange((size + step - 1) // step * step, device=image.device) % period
            image = image.index_select(axis, torch.minimum(position, period - position))
    return image
