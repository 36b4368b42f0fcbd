"""Parameters on their way to the device of the images."""

from collections.abc import Sequence

import torch
from torch import Tensor


def upload(values: Tensor | Sequence[float], device: torch.device) -> Tensor:
    """`values` as a tensor on `device`: to a GPU from pinned memory, since the host would wait for any other copy."""
    tensor = torch.as_tensor(values)
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
