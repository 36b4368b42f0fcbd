"""The losses of a training by name: each part is known by itself, and their weighted sum is minimized."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from blindsr.config import registry
from blindsr.config.schema import TrainParams
from blindsr.plugins.losses.base import Loss
from blindsr.runtime import files


class Losses(nn.Module):
    """Losses with their weights, in the order of the settings: a column each in curves, tracking and figures."""

    def __init__(self, parts: Mapping[str, tuple[float, Loss]]) -> None:
        """`parts`: name -> (weight > 0, loss)."""
        super().__init__()
        self.weights = {name: weight for name, (weight, _) in parts.items()}
        self.parts = nn.ModuleDict({name: loss for name, (_, loss) in parts.items()})

    def forward(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """Compute each loss.

        Args:
            sr: What the network makes, float32 (B, 3, H, W).
            hr: Its HR images, likewise, in [0, 1].

        Returns:
            Name -> scalar, not weighted.
        """
        return {name: loss(sr, hr) for name, loss in self.parts.items()}

    def total(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Weight the losses and add them up: what is minimized, apart from a penalty.

        Args:
            parts: What `forward` returned.

        Returns:
            Scalar; of one loss of weight 1, that loss to the bit.
        """
        weighted = (parts[name] if weight == 1 else weight * parts[name] for name, weight in self.weights.items())
        return functools.reduce(torch.add, weighted)


def build_losses(params: TrainParams, trunk: Path | None = None) -> Losses:
    """The losses of `train.losses` with the settings of `train.loss_settings`, on the CPU.

    Args:
        params: settings of training.
        trunk: file of AlexNet's weights, for losses that ask for them; None where it is not here.

    Raises:
        UserError: for settings that a loss refuses, or weights that it needs and that are not here.
    """
    settings = params.loss_settings
    return Losses(
        {
            name: (weight, registry.build("loss", name, settings.get(name), trunk=trunk))
            for name, weight in params.losses.items()
        }
    )


def needs_trunk(params: TrainParams) -> bool:
    """Whether any loss of the settings asks for AlexNet's weights, which then determine the training."""
    return any(registry.takes("loss", name, "trunk") for name in params.losses)


def determining(params: TrainParams, trunk: Path | None = None) -> dict[str, Any]:
    """What of the losses determines a training, as plain values; nothing for L1 alone, which was the only loss once.

    Args:
        params: settings of training.
        trunk: as for `build_losses`.
    """
    if params.losses == {"l1": 1.0}:
        return {}
    settings = {name: params.loss_settings.get(name, {}) for name in params.losses}
    return {"losses": params.losses, "loss_settings": settings, "trunk": files.sha256(trunk) if trunk else None}
