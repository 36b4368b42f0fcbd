"""What is minimized: the loss of every view plus the weighted penalty, as one module."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from blindsr.model.network import Network
from blindsr.plugins.regularizers.base import LAST, Step
from blindsr.runtime import devices
from blindsr.training.distributed import World
from blindsr.training.losses import Losses


class Terms(NamedTuple):
    """Scalars of a forward pass, and what they are made of."""

    loss: Tensor
    """What is minimized: fidelity + weight · penalty."""
    fidelity: Tensor
    """Weighted sum of the losses of the settings."""
    parts: dict[str, Tensor]
    """Each of these losses by name, not weighted."""
    penalty: Tensor
    """Not weighted."""
    features: Tensor | None
    """(views·N, C, sH, sW): what entered the last convolution, if the regularizer asked for that."""
    sr: Tensor
    """(views·N, 3, sH, sW)."""


class Objective(nn.Module):
    """A network with its loss: one module, so that DistributedDataParallel sees every use of the parameters."""

    def __init__(self, network: Network, losses: Losses, weight: Tensor | float, *, bf16: bool = False) -> None:
        """Nothing is computed yet.

        Args:
            network: The backbone with its regularizer.
            losses: Of the SR images.
            weight: Of the penalty beside `losses`, >= 0.
            bf16: Run the network's forward pass under bfloat16 autocast.
        """
        super().__init__()
        self.network = network
        self.losses = losses
        self._weight, self._bf16 = weight, bf16

    def forward(self, step: Step) -> Terms:
        """Compute the loss of one step.

        Args:
            step: With LR and HR images; it gets its SR images and features.

        Returns:
            The loss and its terms: float32, also under autocast, as are the statistics in it.
        """
        with torch.autocast(step.lr.device.type, torch.bfloat16, enabled=self._bf16):
            penalty = self.network(step).float()
        assert step.sr is not None
        parts: dict[str, Tensor] = self.losses(step.sr.float(), step.hr.repeat(step.views, 1, 1, 1))
        fidelity = self.losses.total(parts)
        loss = fidelity + self._weight * penalty
        return Terms(loss, fidelity, parts, penalty, step.features.get(LAST), step.sr)


def diagnose(terms: Terms, weight: Tensor | float, world: World) -> dict[str, float]:
    """Look at what a raw penalty hides: its share of the features' gradient, and whether the two views really agree.

    Every rank calls it, before the backward pass, and gets the numbers of the whole batch.

    Args:
        terms: Of a step of two views, with features.
        weight: Of the penalty.
        world: The processes that train together.

    Returns:
        `penalty_gradient_share`, in [0, 1]: norm of the weighted penalty's gradient by the features, over the sum of
        that norm and the norm of the losses' gradient. `view_distance`: mean squared distance of the two views'
        features over their variance; shrinking the features lowers the penalty, and leaves this as it is.
    """
    assert terms.features is not None
    squares = [
        devices.exact(torch.autograd.grad(part, terms.features, retain_graph=True)[0]).square().sum()
        for part in (terms.fidelity, weight * terms.penalty)
    ]
    features = devices.exact(terms.features.detach())
    first, second = features.chunk(2)
    gap = (first - second).square().sum()
    channels = (0, 2, 3)
    sums = torch.stack([features.sum(channels), features.square().sum(channels)])
    totals = world.total(torch.cat([torch.stack([*squares, gap]), sums.flatten()]))
    of_fidelity, of_penalty = totals[:2].sqrt()
    count = world.ranks * features.numel() / features.shape[1]
    total, square = totals[3:].view(2, -1)
    variance = ((square - total.square() / count) / (count - 1)).mean()
    distance = 2 * totals[2] / (count * features.shape[1]) / variance.clamp_min(1e-12)
    return {
        "penalty_gradient_share": float(of_penalty / (of_fidelity + of_penalty).clamp_min(1e-30)),
        "view_distance": float(distance),
    }
