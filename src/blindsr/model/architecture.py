"""Backbones by name, and what they cost."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from blindsr.config.registry import build
from blindsr.plugins.backbones.base import Backbone
from blindsr.runtime.errors import UserError

_SPARE = 1 << 20  # parameters that a network may have without weights, and more
_DRAW = frozenset(["uniform_", "normal_", "kaiming_uniform_"])  # how initializations draw into a parameter


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


def build_for(state: Mapping[str, Tensor], name: str, hyper: dict[str, Any], scale: int) -> Backbone:
    """Build the backbone that these weights are loaded into next: no larger than they are, no initial values drawn.

    Args:
        state: Parameter names -> tensors.
        name: Name of the plug-in.
        hyper: Keyword settings of its `build`.
        scale: Upscaling factor.

    Returns:
        The backbone, with zeros where `build_backbone` has random values.

    Raises:
        UserError: as `build_backbone` does, and for a network that is larger than its weights.
    """
    with at_most(sum(value.numel() for value in state.values())), _Undrawn():
        return build_backbone(name, hyper, scale)


@contextlib.contextmanager
def at_most(numbers: int) -> Iterator[None]:
    """Refuse to build a network that is larger than its weights, before it takes memory and time.

    Args:
        numbers: In the weights. What is built within the block may have twice as many, and some more.

    Yields:
        Nothing.

    Raises:
        UserError: as soon as there are more parameters.
    """
    left = 2 * numbers + _SPARE

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal left
        left -= 0 if parameter is None else parameter.numel()
        if left < 0:
            raise UserError(f"its network has more parameters than the {numbers} numbers that are there")

    handle = nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


class _Undrawn(TorchFunctionMode):
    """Within this block parameters get zeros where they would get random values: their weights are loaded next.

    Drawing takes two thirds of the time in which the paper's RRDB is built. Buffers are computed as ever, and torch's
    generator is left as it is.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called instead of every function of torch."""
        if getattr(func, "__name__", "") in _DRAW:
            target = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(target, nn.Parameter):
                target.detach().zero_()
                return target
        return func(*args, **(kwargs or {}))


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
