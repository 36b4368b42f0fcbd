"""SwinIR (Liang et al., ICCVW 2021): Swin transformer blocks between convolutions (BasicSR's swinir_arch.py).

11.90 M parameters and 26.8 GFLOP for one 32x32 LR at full size with the upsampler of the real-image variant.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from blindsr.backbones._blocks import Backbone, require_counts

_UPSAMPLERS = ("nearest+conv", "pixelshuffle")
_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K's RGB
_UPSAMPLER_FEATURES = 64


def build(
    *,
    scale: int = 4,
    depths: Sequence[int] = (6, 6, 6, 6, 6, 6),
    num_heads: Sequence[int] = (6, 6, 6, 6, 6, 6),
    dim: int = 180,
    window_size: int = 8,
    mlp_ratio: float = 2.0,
    upsampler: str = "nearest+conv",
) -> Backbone:
    """SwinIR for x4, without stochastic depth. `depths` and `num_heads` have one entry per group of blocks.

    Raises ValueError for another scale, an unknown upsampler, or sizes that do not fit each other.
    """
    if scale != 4:
        raise ValueError(f"scale must be 4, not {scale!r}")
    require_counts(dim=dim, window_size=window_size)
    if upsampler not in _UPSAMPLERS:
        raise ValueError(f"upsampler must be one of {', '.join(_UPSAMPLERS)}, not {upsampler!r}")
    if len(depths) != len(num_heads) or not depths:
        raise ValueError(f"depths and num_heads need one entry per group, not {list(depths)} and {list(num_heads)}")
    for depth, heads in zip(depths, num_heads, strict=True):
        require_counts(depth=depth, heads=heads)
        if dim % heads:
            raise ValueError(f"dim {dim} must be a multiple of every entry of num_heads, not only of some: {heads}")
    if mlp_ratio <= 0:
        raise ValueError(f"mlp_ratio must be above 0, not {mlp_ratio!r}")
    return SwinIR(depths, num_heads, dim, window_size, mlp_ratio, upsampler)


class SwinIR(Backbone):
    """State-dict names are those of the public checkpoints.

    Their `attn_mask` buffers, which belong to one image size, are ignored: masks follow the input's size.
    """

    def __init__(
        self, depths: Sequence[int], num_heads: Sequence[int], dim: int, window: int, mlp_ratio: float, upsampler: str
    ) -> None:
        super().__init__(4)
        self.window = window
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.conv_first = nn.Conv2d(3, dim, 3, padding=1)
        self.patch_embed = _PatchNorm(dim)
        self.layers = nn.ModuleList(
            _Group(dim, depth, heads, window, mlp_ratio) for depth, heads in zip(depths, num_heads, strict=True)
        )
        self.norm = nn.LayerNorm(dim)
        self.conv_after_body = nn.Conv2d(dim, dim, 3, padding=1)
        n = _UPSAMPLER_FEATURES
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(dim, n, 3, padding=1), nn.LeakyReLU(inplace=True))
        self.upsample: nn.Module | None = None
        if upsampler == "pixelshuffle":
            self.upsample = nn.Sequential(
                nn.Conv2d(n, 4 * n, 3, padding=1),
                nn.PixelShuffle(2),
                nn.Conv2d(n, 4 * n, 3, padding=1),
                nn.PixelShuffle(2),
            )
        else:
            self.conv_up1 = nn.Conv2d(n, n, 3, padding=1)
            self.conv_up2 = nn.Conv2d(n, n, 3, padding=1)
            self.conv_hr = nn.Conv2d(n, n, 3, padding=1)
        self.conv_last = nn.Conv2d(n, 3, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def features(self, lr: Tensor) -> Tensor:
        """What enters conv_last. The input is padded to whole windows by reflection, and the output cropped."""
        height, width = lr.shape[-2:]
        first = self.conv_first(_pad(lr, self.window) - self.mean)
        tokens = self.patch_embed(first.permute(0, 2, 3, 1))
        for layer in self.layers:
            tokens = layer(tokens)
        deep = self.norm(tokens).permute(0, 3, 1, 2).contiguous()
        out = self.conv_before_upsample(first + self.conv_after_body(deep))
        if self.upsample is not None:
            out = self.upsample(out)
        else:
            for conv in (self.conv_up1, self.conv_up2):
                out = _activate(conv(functional.interpolate(out, scale_factor=2, mode="nearest")))
            out = _activate(self.conv_hr(out))
        return out[:, :, : height * self.scale, : width * self.scale]

    def reconstruct(self, features: Tensor, lr: Tensor) -> Tensor:
        """The last convolution, and the mean of the training images added back."""
        sr: Tensor = self.conv_last(features) + self.mean
        return sr


class _PatchNorm(nn.Module):
    """Normalization of the tokens on entry; the public name is patch_embed.norm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        normed: Tensor = self.norm(tokens)
        return normed


class _Group(nn.Module):
    """Blocks with and without shift in turn, a convolution, and a residual connection around them."""

    def __init__(self, dim: int, depth: int, heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        self.residual_group = _Blocks(dim, depth, heads, window, mlp_ratio)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, tokens: Tensor) -> Tensor:
        out = self.residual_group(tokens).permute(0, 3, 1, 2)
        return tokens + self.conv(out).permute(0, 2, 3, 1)


class _Blocks(nn.Module):
    def __init__(self, dim: int, depth: int, heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _Block(dim, heads, window, window // 2 if number % 2 else 0, mlp_ratio) for number in range(depth)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class _Block(nn.Module):
    """Attention inside (shifted) windows and a two-layer perceptron, each after normalization and residual."""

    def __init__(self, dim: int, heads: int, window: int, shift: int, mlp_ratio: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = _WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = _Perceptron(dim, int(dim * mlp_ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        height, width = tokens.shape[1:3]
        # an image of one window has nothing to shift across
        shift = self.shift if min(height, width) > self.window else 0
        normed = torch.roll(self.norm1(tokens), (-shift, -shift), (1, 2)) if shift else self.norm1(tokens)
        mask = shift_mask(height, width, self.window, shift).to(tokens) if shift else None
        attended = join(self.attn(split(normed, self.window), mask), self.window, height, width)
        tokens = tokens + (torch.roll(attended, (shift, shift), (1, 2)) if shift else attended)
        return tokens + self.mlp(self.norm2(tokens))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        state_dict.pop(f"{prefix}attn_mask", None)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


class _WindowAttention(nn.Module):
    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_positions(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """(windows, tokens, dim); `mask` (windows of one image, tokens, tokens) is added to the attention."""
        count, tokens, dim = windows.shape
        q, k, v = self.qkv(windows).view(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]  # type: ignore[operator]
        bias = bias.view(tokens, tokens, self.heads).permute(2, 0, 1)[None]
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(count // len(mask), 1, 1, 1)
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(count, tokens, dim))
        return projected


class _Perceptron(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return out


def split(tokens: Tensor, window: int) -> Tensor:
    """(B, H, W, C) → (B · windows, window², C), windows row by row."""
    batch, height, width, channels = tokens.shape
    tiles = tokens.view(batch, height // window, window, width // window, window, channels)
    return tiles.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, channels)


def join(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """The inverse of `split`."""
    tiles = windows.view(-1, height // window, width // window, window, window, windows.shape[-1])
    return tiles.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, windows.shape[-1])


def relative_positions(window: int) -> Tensor:
    """(window², window²): row of the bias table for each pair of tokens, by their distance along both axes."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    y, x = y.flatten(), x.flatten()
    rows = y[:, None] - y[None] + window - 1
    return rows * (2 * window - 1) + x[:, None] - x[None] + window - 1


def shift_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    """(windows, window², window²): 0 for pairs that were neighbours before the cyclic shift, -100 for others."""
    region = torch.zeros(1, height, width, 1)
    bounds = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for row, rows in enumerate(bounds):
        for column, columns in enumerate(bounds):
            region[:, rows, columns] = 3 * row + column
    windows = split(region, window)[:, :, 0]
    return (windows[:, :, None] != windows[:, None]).float() * -100


def _pad(image: Tensor, window: int) -> Tensor:
    """Pad at the bottom and right to whole windows; by reflection as far as the image reaches, then by its edge."""
    for axis in (-2, -1):
        length = image.shape[axis]
        missing = -length % window
        source = torch.arange(length + missing, device=image.device)
        mirrored = torch.where(source < length, source, (2 * length - 2 - source).clamp_min(0))
        if missing:
            image = image.index_select(axis, mirrored)
    return image


def _activate(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2, inplace=True)
