"""MSRN: residual blocks with 3×3 and 5×5 branches that exchange their features.

Li et al., "Multi-scale Residual Network for Image Super-Resolution", ECCV 2018.
6.08 M parameters and 13.4 GFLOP (two per multiply-add) for one 32×32 LR image.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from blindsr.plugins.backbones.base import (
    MOST_BLOCKS,
    Backbone,
    conv3x3,
    pixel_shuffle_upsampler,
    require_counts,
    require_scale,
)

_DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


def build(*, scale: int = 4, num_blocks: int = 8, num_features: int = 64) -> Backbone:
    """Multi-scale blocks whose outputs, beside the head's, are fused by a 1×1 convolution (ECCV 2018).

    State-dict names are those of the published code (MIVRC/MSRN-PyTorch). That code works on RGB in [0, 255]; its
    checkpoints are converted to [0, 1] while they are loaded, without a change of the function.

    Args:
        scale: 2, 3 or 4.
        num_blocks: >= 1; 8 in the paper.
        num_features: Channels, >= 1; 64 in the paper.

    Raises:
        ValueError: for other values.
    """
    require_scale(scale, 2, 3, 4)
    require_counts(MOST_BLOCKS, num_blocks=num_blocks)
    require_counts(num_features=num_features)
    return _MSRN(scale, num_blocks, num_features)


class _MSRN(Backbone):
    last = "tail.3"

    def __init__(self, scale: int, num_blocks: int, channels: int) -> None:
        super().__init__(scale)
        self.sub_mean = _Shift([-value for value in _DIV2K_MEAN])
        self.head = nn.Sequential(conv3x3(3, channels))
        self.body = nn.Sequential(*(_MultiScaleBlock(channels) for _ in range(num_blocks)))
        self.blocks = [f"body.{number}" for number in range(num_blocks)]
        self.tail = nn.Sequential(
            nn.Conv2d((num_blocks + 1) * channels, channels, 1),
            conv3x3(channels, channels),
            pixel_shuffle_upsampler(scale, channels),
            conv3x3(channels, 3),
        )
        self.add_mean = _Shift(_DIV2K_MEAN)
        self.register_load_state_dict_pre_hook(_to_unit_range)

    def forward(self, lr: Tensor) -> Tensor:
        head = x = self.head(self.sub_mean(lr))
        outputs = []
        for block in self.body:
            x = block(x)
            outputs.append(x)
        return self.add_mean(self.tail(torch.cat((*outputs, head), 1)))


class _MultiScaleBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_3_1 = conv3x3(channels, channels)
        self.conv_3_2 = conv3x3(2 * channels, 2 * channels)
        self.conv_5_1 = nn.Conv2d(channels, channels, 5, padding=2)
        self.conv_5_2 = nn.Conv2d(2 * channels, 2 * channels, 5, padding=2)
        self.confusion = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = torch.cat((self.conv_3_1(x), self.conv_5_1(x)), 1).relu_()
        second = torch.cat((self.conv_3_2(first), self.conv_5_2(first)), 1).relu_()
        return x + self.confusion(second)


class _Shift(nn.Module):
    """Adds a constant to each colour.

    The published layer is a 1×1 convolution. Its matrix, always the identity here, is kept for its name.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, shift: Sequence[float]) -> None:
        super().__init__()
        # written out: for torch.eye, or a minus, the meta device loads torch's compiler, which takes seconds
        self.register_buffer("weight", torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]).view(3, 3, 1, 1))
        self.register_buffer("bias", torch.tensor(shift))

    def forward(self, image: Tensor) -> Tensor:
        return image + self.bias.view(3, 1, 1)


def _to_unit_range(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: fold the matrices of the colour shifts, and the range [0, 255], into their neighbours.

    The published shifts are trainable, by an oversight, so that their matrices need not be the identity.
    With the range r, S·r·x + s = (r·S)(x - m) for m = -(r·S)⁻¹s, and the head's convolution takes over r·S: its
    zero padding then still is a padding of the shifted image. The last convolution takes over A/r of (A·y + a)/r.
    """
    names = [f"{prefix}{layer}.{part}" for layer in ("sub_mean", "add_mean") for part in ("weight", "bias")]
    ends = [f"{prefix}head.0.weight", f"{prefix}tail.3.weight", f"{prefix}tail.3.bias"]
    if any(name not in state for name in (*names, *ends)):
        return  # loading itself says what is missing
    sub_weight, sub_bias, add_weight, add_bias = (state[name].double() for name in names)
    head, last, last_bias = (state[name].double() for name in ends)
    limit = 255.0 if add_bias.abs().max() > 1 else 1.0
    entry, leave = limit * sub_weight.flatten(1), add_weight.flatten(1) / limit
    identity = torch.eye(3, dtype=entry.dtype, device=entry.device)
    if torch.equal(entry, identity) and torch.equal(leave, identity):
        return
    folded = {
        names[0]: identity.view(3, 3, 1, 1),
        names[1]: torch.linalg.solve(entry, sub_bias),
        names[2]: identity.view(3, 3, 1, 1),
        names[3]: add_bias / limit,
        ends[0]: torch.einsum("ochw,ci->oihw", head, entry),
        ends[1]: torch.einsum("po,ochw->pchw", leave, last),
        ends[2]: leave @ last_bias,
    }
    for name, value in folded.items():
        state[name] = value.to(state[name].dtype)
