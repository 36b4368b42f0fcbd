"""PSNR of the averaged weights while training, on a few windows under a few test cases.

The windows are of the training images, which the network also sees, degraded otherwise: the curve shows whether
training goes well, not how well the network generalizes; that is what `evaluate` is for. Every draw has a key of its
own, so that training is the same, to the last bit, with validation and without.
"""

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn

from blindsr import images
from blindsr.datasets.patch_store import PatchStore
from blindsr.degradations import suite
from blindsr.settings import ValidationParams
from blindsr.training.ema import Ema

_BORDER = 4  # px removed before the PSNR, as in the tables


class Validation:
    """Called after an iteration: {"psnr_db_CASE": mean over the windows} if it is time, else {}."""

    def __init__(
        self, store: PatchStore, params: ValidationParams, backbone: nn.Module, crop: int, scale: int
    ) -> None:
        """Windows of `crop` px, the same for every cell and seed. `backbone` is copied."""
        self._params = params
        self._network = copy.deepcopy(backbone).eval()
        draw = np.random.Generator(np.random.Philox(key=[0, 0]))
        self._hr = []
        for _ in range(params.windows):
            image = store.image(int(draw.integers(store.image_count)))
            top, left = (int(draw.integers(side - crop + 1)) for side in image.shape[:2])
            self._hr.append(np.ascontiguousarray(image[top : top + crop, left : left + crop]))
        self._lr = {
            name: torch.stack(
                [
                    images.to_float(
                        suite.degrade_case(hr, case, suite.case_generator(0, "validation", name, str(number)), scale)
                    )
                    for number, hr in enumerate(self._hr)
                ]
            )
            for name, case in params.cases.items()
        }

    @torch.no_grad()
    def __call__(self, iteration: int, ema: Ema) -> dict[str, float]:
        """PSNR in dB of each case on RGB, rounded to 8 bits; on the device of `ema`."""
        if iteration % self._params.every:
            return {}
        device = next(iter(ema.state_dict().values())).device
        network = self._network.to(device)
        ema.copy_to(network)
        hr = torch.stack([torch.from_numpy(window) for window in self._hr]).permute(0, 3, 1, 2).to(device)
        return {
            f"psnr_db_{name.replace('+', '-')}": _psnr(network(lr.to(device)), hr) for name, lr in self._lr.items()
        }


def _psnr(sr: Tensor, hr: Tensor) -> float:
    """Mean over the images of 10 log10(255² / mean squared error), as `metrics.psnr`."""
    levels = (sr.float() * 255).round().clamp(0, 255)
    inside = slice(_BORDER, -_BORDER)
    error = (levels - hr)[..., inside, inside].double().square().mean((1, 2, 3))
    return sum(10 * math.log10(255**2 / value) if value else math.inf for value in error.tolist()) / len(error)
