"""Perceptual loss: the distance of deep features, on the trunk of LPIPS.

Source: Johnson et al., "Perceptual losses for real-time style transfer and super-resolution", ECCV 2016. There the
features are VGG's, here those of AlexNet's five convolutions, so that one file of weights serves loss and metric.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from blindsr.plugins import alexnet
from blindsr.plugins.losses.base import Loss
from blindsr.runtime.errors import UserError

_DISTANCES = {"l1": functional.l1_loss, "l2": functional.mse_loss}


def build(*, distance: str = "l1", trunk: Path | None = None) -> Loss:
    """Mean over AlexNet's five convolutions of the distance of the rectified features of SR and HR.

    Args:
        distance: Of a layer, mean over samples, channels and positions: of the absolute ("l1") or the squared ("l2")
            difference.
        trunk: AlexNet's weights, as for `alexnet.load`.

    Raises:
        ValueError: for another distance.
        UserError: without weights, or as `alexnet.load` does.
    """
    if distance not in _DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(_DISTANCES)}, not {distance!r}")
    if trunk is None:
        raise UserError(
            "the perceptual loss needs AlexNet's weights, which are not here: name a set of them in data.lpips_trunk "
            "and run `blindsr fetch`, or take perceptual out of train.losses"
        )
    return Perceptual(alexnet.load(trunk), distance)


class Perceptual(Loss):
    """The loss of a trunk that is loaded."""

    def __init__(self, trunk: alexnet.Trunk, distance: str = "l1") -> None:
        """`distance` is "l1" or "l2"."""
        super().__init__()
        self.trunk, self.distance = trunk, _DISTANCES[distance]

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """As `Loss.forward`.

        Raises:
            UserError: for images of less than 31 px a side.
        """
        if min(sr.shape[2:]) < alexnet.SMALLEST:
            raise UserError(
                f"the perceptual loss needs images of {alexnet.SMALLEST} px a side, not of "
                f"{sr.shape[3]}×{sr.shape[2]}: raise train.crop"
            )
        with torch.no_grad():
            target = list(self.trunk(2 * hr - 1))
        parts = [self.distance(a, b) for a, b in zip(self.trunk(2 * sr - 1), target, strict=True)]
        return torch.stack(parts).mean()
