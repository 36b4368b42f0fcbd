"""Exponential moving average of a network's weights: what is evaluated and published."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Ema:
    """Shadow of a module: parameters averaged in float32, buffers as they last were.

    No warm-up: the shadow starts as the module's own weights, as in BasicSR. Equal updates give equal bits.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        """Start from a module's weights, on the module's device.

        Args:
            module: The network; it is not kept.
            decay: Share of the shadow that an update keeps, in [0, 1).

        Raises:
            ValueError: for another decay.
        """
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), not {decay!r}")
        self.decay = decay
        self._parameters = {name: tensor.detach().float().clone() for name, tensor in module.named_parameters()}
        self._buffers = {name: tensor.detach().clone() for name, tensor in module.named_buffers()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """shadow = decay · shadow + (1 - decay) · parameter, in place; buffers are copied.

        Args:
            module: The network after an optimizer's step.

        Raises:
            KeyError: if it lacks a parameter or a buffer of the shadow.
        """
        parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
        current = [parameters[name].detach().float() for name in self._parameters]
        if current:
            torch._foreach_lerp_(list(self._parameters.values()), current, 1 - self.decay)
        for name, shadow in self._buffers.items():
            shadow.copy_(buffers[name])

    def state_dict(self) -> dict[str, Tensor]:
        """The shadow's tensors, not copied, by the module's parameter and buffer names."""
        return {**self._parameters, **self._buffers}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` returned.

        Args:
            state: Tensors on any device; they are copied.

        Raises:
            ValueError: for other names or shapes.
        """
        own = self.state_dict()
        if own.keys() != state.keys():
            raise ValueError(f"EMA state does not fit: {', '.join(sorted(own.keys() ^ state.keys()))}")
        wrong = [name for name, shadow in own.items() if shadow.shape != state[name].shape]
        if wrong:
            raise ValueError(f"EMA state does not fit: the shape of {', '.join(wrong)}")
        for name, shadow in own.items():
            shadow.copy_(state[name])

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Write the shadow into the module, in the module's own dtype."""
        own = self.state_dict()
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            tensor.copy_(own[name])
