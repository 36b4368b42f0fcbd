"""A loss that is not finite: found without waiting for the device, and training frozen where it was found."""

import torch
from torch import Tensor, nn

from blindsr.runtime import devices
from blindsr.runtime.errors import UserError


def backward(loss: Tensor) -> None:
    """Backpropagate `loss` (scalar); one that is NaN or infinite makes every gradient NaN, on every rank.

    L1's own gradient would hide it: the sign of NaN is 0.
    """
    loss.backward(loss.detach() * 0 + 1)  # exactly 1 if the loss is finite


class Guard:
    """Looks at the gradients of every step; from the first that are not finite on, Adam's step changes nothing.

    That is Adam's own `found_inf`, made for gradient scalers: a flag on the device, read by the fused kernel. So the
    host asks now and then, and the weights are still those that the bad iteration began with. The kernel of MPS does
    not read it: there the host asks in every step, and Adam gets no gradients.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        """Make the optimizer's steps depend on the gradients from now on.

        Args:
            optimizer: Adam with fused=True.
            device: That it trains on.
        """
        self._found = torch.zeros((), device=device)
        self._good = torch.zeros((), dtype=devices.widest_float(device), device=device)
        self._asks = device.type == "mps"
        self._seen = 0
        optimizer.found_inf = self._found  # type: ignore[attr-defined]

    @torch.no_grad()
    def watch(self, module: nn.Module) -> None:
        """Call between the backward pass and the optimizer's step."""
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._found.copy_(torch.maximum(self._found, (~norm.isfinite()).float()))
        self._good += 1 - self._found
        if self._asks and self._found:
            for parameter in module.parameters():
                parameter.grad = None

    def count(self) -> None:
        """Call once a step: what `watch` does may be a part of a recording, which Python does not run."""
        self._seen += 1

    def steps_since_bad(self) -> int:
        """How many steps ago, the last one being 1, the first bad one was; 0: none was. Waits for the device."""
        return self._seen - int(self._good)


def out_of_memory(
    error: BaseException, device: torch.device, iteration: int, batch: int, crop: int
) -> UserError | None:
    """Turn an allocation's error, on any device, into one line for the user.

    Args:
        error: Any error of training.
        device: That was trained on.
        iteration: In which it came, from 1.
        batch: `train.batch`, in LR images.
        crop: `train.crop`, in HR px.

    Returns:
        The error to raise, which names the settings to lower; None for an error of another kind.
    """
    if not devices.out_of_memory(error):
        return None
    return UserError(
        f"out of memory on {device} in iteration {iteration}: lower train.batch ({batch} LR images), train.crop "
        f"({crop} px) or train.window"
    )
