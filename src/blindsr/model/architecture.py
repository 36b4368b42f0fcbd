"""Backbones by name, and what they cost."""

from typing import Any

import torch
from torch import nn

from blindsr.config.registry import build
from blindsr.plugins.backbones.base import Backbone


def build_backbone(name: str, hyper: dict[str, Any], scale: int) -> Backbone:
    """Build a backbone with its initial weights, from torch's default generator.

    Args:
        name: Name of the plug-in.
        hyper: Keyword settings of its `build`.
        scale: Upscaling factor.

    Returns:
        The backbone, on torch's default device.

    Raises:
        UserError: for an unknown name or setting, or a value that `build` refuses.
    """
    backbone: Backbone = build("backbone", name, {"scale": scale, **hyper})
    return backbone


def count_parameters(module: nn.Module) -> int:
    """Count the scalars in a module's parameters.

    Args:
        module: Any network. Frozen parameters count, buffers do not.

    Returns:
        Their number.
    """
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(backbone: nn.Module, height: int, width: int) -> int:
    """Count the floating-point operations (two per multiply-add) of one forward pass.

    Args:
        backbone: Runs where its parameters are, without gradients; on the meta device nothing is computed.
        height: Height of the LR image, in px.
        width: Its width, in px.

    Returns:
        Number of operations for one image.
    """
    from torch.utils.flop_counter import FlopCounterMode

    device = next((parameter.device for parameter in backbone.parameters()), torch.device("cpu"))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(torch.zeros(1, 3, height, width, device=device))
    return int(counter.get_total_flops())
