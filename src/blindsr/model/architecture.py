"""Backbones by name, and what they cost."""

from typing import Any

import torch
from torch import nn

from blindsr.config.registry import build
from blindsr.plugins.backbones.base import Backbone


def build_backbone(name: str, hyper: dict[str, Any], scale: int) -> Backbone:
    """A backbone with its initial weights, from torch's default generator.

    Args:
        name: Of a plug-in.
        hyper: Keyword settings of its `build`.
        scale: Upscaling factor.

    Raises:
        UserError: for an unknown name or setting, or a value that `build` refuses.
    """
    backbone: Backbone = build("backbone", name, {"scale": scale, **hyper})
    return backbone


def count_parameters(module: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(backbone: nn.Module, height: int, width: int) -> int:
    """Floating-point operations (two per multiply-add) of one forward pass.

    Args:
        backbone: On any device; nothing is computed.
        height: Of the LR image, in px.
        width: Likewise.
    """
    from torch.utils.flop_counter import FlopCounterMode

    device = next((parameter.device for parameter in backbone.parameters()), torch.device("cpu"))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(torch.zeros(1, 3, height, width, device=device))
    return int(counter.get_total_flops())
