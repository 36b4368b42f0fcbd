"""What training costs, counted and not timed: parameters and floating-point operations of one iteration.

Hours differ from machine to machine and run to run; operations do not, so that scores can be compared at equal cost.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from blindsr.model import architecture
from blindsr.model.network import Network
from blindsr.plugins.regularizers.base import Step


class Cost(NamedTuple):
    """Of one run; a multiply-add is two operations."""

    parameters: int
    """Trained ones; those of the backbone."""
    lr_images: int
    """LR images that an iteration sees."""
    hr_patches: int
    """Different HR patches among them: half as many with two views."""
    iteration_flops: int
    """Forward and backward of backbone, L1 and penalty."""
    penalty_flops: int
    """Of these, what the regularizer takes: its penalty's forward and backward, and its change of the input."""

    def totals(self, iterations: int) -> dict[str, float]:
        """What a whole training took, for the tracking server.

        Args:
            iterations: Number of iterations of the training.

        Returns:
            `lr_images_seen`, `hr_patches_seen` and `training_tflop` (10¹² operations).
        """
        return {
            "lr_images_seen": iterations * self.lr_images,
            "hr_patches_seen": iterations * self.hr_patches,
            "training_tflop": iterations * self.iteration_flops / 1e12,
        }


def operations() -> FlopCounterMode:
    """A context that counts floating-point operations of convolutions and matrix products, two per multiply-add.

    Of products, torch by itself counts those that return a new tensor only.
    """
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.baddbmm_: _in_place})


def _in_place(out: Sequence[int], a: Sequence[int], b: Sequence[int], **_: object) -> int:
    return 2 * math.prod(a) * b[2]


def training_cost(network: Network, batch: int, crop: int, scale: int) -> Cost:
    """Cost of one iteration, as in `train`.

    Counted by `operations`: convolutions and matrix products of the forward and the backward pass of a step;
    element-wise work, Adam and EMA are not counted. The backbone is counted without computing anything; penalties do
    not run on the meta device, so the penalty is computed on random features.

    Args:
        network: On the meta device (build it under `torch.device("meta")`); it is left in training mode.
        batch: LR images of an iteration, a multiple of the views.
        crop: Side of an HR crop in px, a multiple of `scale`.
        scale: Upscaling factor.

    Returns:
        The cost; `parameters` are those of the whole network.
    """
    network.train()
    views, patches, side = network.views, batch // network.views, crop // scale
    lr, hr = (torch.zeros(count, 3, size, size, device="meta") for count, size in ((batch, side), (patches, crop)))
    step = Step(lr, hr, views)
    with operations() as counter:
        network.predict(step)
        assert step.sr is not None
        functional.l1_loss(step.sr, torch.zeros_like(step.sr)).backward()
    real = {name: torch.rand(seen.shape, requires_grad=True) for name, seen in step.features.items()}
    seen = Step(torch.rand(lr.shape), torch.rand(hr.shape), views, features=real, sr=torch.rand(step.sr.shape))
    with operations() as of_penalty:  # penalties do not run on meta
        cost = network.regularizer.penalty(seen)
        if cost.requires_grad:
            cost.backward()
    with operations() as of_input:  # counted in the step, too
        network.regularizer.change_input(lr, step)
    changed = of_input.get_total_flops()
    penalty = of_penalty.get_total_flops()
    return Cost(
        parameters=architecture.count_parameters(network),
        lr_images=batch,
        hr_patches=patches,
        iteration_flops=counter.get_total_flops() + penalty,
        penalty_flops=penalty + changed,
    )
