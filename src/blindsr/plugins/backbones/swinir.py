"""SwinIR: Swin Transformer blocks between two convolutions.

Liang et al., "SwinIR: Image Restoration Using Swin Transformer", ICCV workshops 2021.
11.72 M parameters and 28.0 GFLOP (two per multiply-add) for one 32×32 LR image; 11.90 M and 26.8 GFLOP with the
upsampler "pixelshuffle".
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blindsr.plugins.backbones.base import (
    MOST_BLOCKS,
    Backbone,
    conv3x3,
    pad_to_multiple,
    pixel_shuffle_upsampler,
    require_counts,
    require_scale,
)

_DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
_FEATURES = 64  # channels after the transformer, in every published variant


_WIDEST = 64  # px of a window: attention takes memory that grows with the fourth power


def build(
    *,
    scale: int = 4,
    depths: Sequence[int] = (6,) * 6,
    dim: int = 180,
    num_heads: Sequence[int] = (6,) * 6,
    window_size: int = 8,
    mlp_ratio: float = 2.0,
    upsampler: str = "nearest+conv",
) -> Backbone:
    """Residual groups of window-attention blocks (SwinIR, Liang et al., ICCV workshops 2021).

    Any LR size is taken: it is extended to whole windows by reflection at the bottom and right, and the features are
    cropped. State-dict names, function and initialization are those of the public SwinIR (models/network_swinir.py),
    without stochastic depth; the `attn_mask` of its checkpoints is ignored, since masks are made for the size at
    hand.

    Args:
        scale: 2 or 4; with "pixelshuffle" 3 as well.
        depths: Blocks of each residual group, >= 1.
        dim: Channels, a multiple of every number of heads.
        num_heads: Of each group, as many as `depths`.
        window_size: px of a window's side, from 1 to 64.
        mlp_ratio: Hidden channels of a block's MLP, in units of `dim`.
        upsampler: "nearest+conv" (published for real images) or "pixelshuffle".

    Raises:
        ValueError: for other values.
    """
    if upsampler not in ("nearest+conv", "pixelshuffle"):
        raise ValueError(f"upsampler must be 'nearest+conv' or 'pixelshuffle', not {upsampler!r}")
    require_scale(scale, *((2, 4) if upsampler == "nearest+conv" else (2, 3, 4)))
    require_counts(dim=dim)
    require_counts(_WIDEST, window_size=window_size)
    for name, values in (("depths", depths), ("num_heads", num_heads)):
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"{name} must be a list of whole numbers, one per group, not {values!r}")
        require_counts(MOST_BLOCKS, **{f"{name}[{i}]": value for i, value in enumerate(values)})
    require_counts(MOST_BLOCKS, **{"sum of depths": sum(depths)})
    if len(depths) != len(num_heads):
        raise ValueError(f"depths and num_heads must be of one length, not {len(depths)} and {len(num_heads)}")
    for heads in num_heads:
        if dim % heads:
            raise ValueError(f"dim must be a multiple of num_heads, not {dim} with {heads} heads")
    if not isinstance(mlp_ratio, int | float) or isinstance(mlp_ratio, bool) or not 1 <= dim * mlp_ratio < math.inf:
        raise ValueError(f"mlp_ratio must be a finite number >= 1 / dim, not {mlp_ratio!r}")
    return _SwinIR(scale, list(depths), dim, list(num_heads), window_size, mlp_ratio, upsampler)


class _SwinIR(Backbone):
    mean: Tensor

    def __init__(
        self,
        scale: int,
        depths: list[int],
        dim: int,
        num_heads: list[int],
        window: int,
        mlp_ratio: float,
        upsampler: str,
    ) -> None:
        super().__init__(scale)
        self.window = window
        self.register_buffer("mean", torch.tensor(_DIV2K_MEAN).view(3, 1, 1), persistent=False)
        self.conv_first = conv3x3(3, dim)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(dim)})
        self.layers = nn.ModuleList(
            _Group(depth, dim, heads, window, mlp_ratio) for depth, heads in zip(depths, num_heads, strict=True)
        )
        self.blocks = [f"layers.{number}" for number in range(len(depths))]
        self.norm = nn.LayerNorm(dim)
        self.conv_after_body = conv3x3(dim, dim)
        self.conv_before_upsample = nn.Sequential(conv3x3(dim, _FEATURES), nn.LeakyReLU(0.01, inplace=True))
        self.nearest = upsampler == "nearest+conv"
        if self.nearest:
            self.conv_up1 = conv3x3(_FEATURES, _FEATURES)
            if scale == 4:
                self.conv_up2 = conv3x3(_FEATURES, _FEATURES)
            self.conv_hr = conv3x3(_FEATURES, _FEATURES)
        else:
            self.upsample = pixel_shuffle_upsampler(scale, _FEATURES)
        self.conv_last = conv3x3(_FEATURES, 3)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, lr: Tensor) -> Tensor:
        height, width = lr.shape[-2:]
        x = self.conv_first(pad_to_multiple(lr, self.window) - self.mean)
        x = x + self.conv_after_body(self._transform(x))
        x = self.conv_before_upsample(x)
        if self.nearest:
            x = _activate(self.conv_up1(F.interpolate(x, scale_factor=2, mode="nearest")))
            if self.scale == 4:
                x = _activate(self.conv_up2(F.interpolate(x, scale_factor=2, mode="nearest")))
            x = _activate(self.conv_hr(x))
        else:
            x = self.upsample(x)
        return self.conv_last(x[..., : self.scale * height, : self.scale * width]) + self.mean

    def _transform(self, x: Tensor) -> Tensor:
        mask = shift_mask(x.shape[-2], x.shape[-1], self.window, x)
        tokens = self.patch_embed["norm"](_channels_last(x))
        for group in self.layers:
            tokens = group(tokens, mask)
        return self.norm(tokens).permute(0, 3, 1, 2)


class _Group(nn.Module):
    """Transformer blocks and a convolution, with the group's input added to the result."""

    def __init__(self, depth: int, dim: int, heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        self.residual_group = _Blocks(depth, dim, heads, window, mlp_ratio)
        self.conv = conv3x3(dim, dim)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.residual_group(tokens, mask).permute(0, 3, 1, 2)
        return tokens + _channels_last(self.conv(x))


class _Blocks(nn.Module):
    """Transformer blocks, every second one with shifted windows."""

    def __init__(self, depth: int, dim: int, heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        shifts = (window // 2 * (i % 2) for i in range(depth))
        self.blocks = nn.ModuleList(_Block(dim, heads, window, shift, mlp_ratio) for shift in shifts)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens, mask)
        return tokens


class _Block(nn.Module):
    """Attention within windows, then an MLP of each token, both after normalization and added to their input."""

    def __init__(self, dim: int, heads: int, window: int, shift: int, mlp_ratio: float) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = _Attention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, hidden), "fc2": nn.Linear(hidden, dim)})
        self.register_load_state_dict_pre_hook(_drop_mask)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        height, width = tokens.shape[1:3]
        x = self.norm1(tokens)
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        x = self.attn(to_windows(x, self.window), mask if self.shift else None)
        x = from_windows(x, self.window, height, width)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        tokens = tokens + x
        return tokens + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(tokens))))


class _Attention(nn.Module):
    """Multi-head attention among the tokens of a window, with a learned bias per offset between two tokens."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Windows (B, n, N, dim) → the same shape; `mask` (n, 1, N, N) is added to the logits."""
        qkv = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        query, key, value = qkv.unbind()  # each (B, n, heads, N, dim / heads)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if mask is not None:
            bias = bias + mask
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1) + bias
        return self.proj((logits.softmax(-1) @ value).transpose(2, 3).flatten(3))


def to_windows(tokens: Tensor, window: int) -> Tensor:
    """Cut tokens into windows.

    Args:
        tokens: (B, H, W, C), H and W multiples of `window`.
        window: px of a window's side.

    Returns:
        (B, n, window², C), the n = H·W / window² windows row by row.
    """
    grid = tokens.unflatten(2, (-1, window)).unflatten(1, (-1, window))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def from_windows(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Put windows back in their places: the inverse of `to_windows`.

    Args:
        windows: (B, n, window², C).
        window: px of a window's side.
        height: px of the whole, a multiple of `window`.
        width: Likewise.

    Returns:
        (B, height, width, C).
    """
    grid = windows.unflatten(2, (window, window)).unflatten(1, (height // window, width // window))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def relative_position_index(window: int) -> Tensor:
    """Find the row of the bias table for each pair of tokens of a window.

    Args:
        window: px of a window's side.

    Returns:
        (window², window²), whole numbers below (2·window - 1)²: offsets from -window + 1 on, row-major.
    """
    position = torch.arange(window)
    rows, columns = position.repeat_interleave(window), position.repeat(window)
    down, right = (axis[:, None] - axis[None, :] + window - 1 for axis in (rows, columns))
    return down * (2 * window - 1) + right


def shift_mask(height: int, width: int, window: int, like: Tensor) -> Tensor:
    """Make what keeps apart tokens that only the cyclic shift by window // 2 has brought into one window.

    Args:
        height: px of the image, a multiple of `window`.
        width: Likewise.
        window: px of a window's side.
        like: Gives the mask its dtype and device.

    Returns:
        (n, 1, window², window²): 0 for pairs that are neighbours in the image, -inf for others.
    """
    shift = window // 2
    rows, columns = (torch.arange(size, device=like.device) >= size - shift for size in (height, width))
    region = 2 * rows[:, None].int() + columns[None, :].int()
    region = to_windows(region[None, :, :, None], window)[0, :, None, :, 0]
    apart = region.transpose(-2, -1) != region
    return torch.where(apart, -math.inf, 0.0).to(like.dtype)[:, None]


def _drop_mask(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    state.pop(f"{prefix}attn_mask", None)


def _channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, H, W, C), contiguous: free where the convolution's output already is channels_last."""
    return x.permute(0, 2, 3, 1).contiguous()


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2, inplace=True)
