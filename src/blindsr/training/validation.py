"""PSNR of the averaged weights while training, on a few windows under a few test cases, and how alike the statistics
of their features are under the first case and the last.

The windows are of the training images, which the network also sees, degraded otherwise: the curve shows whether
training goes well, not how well the network generalizes; that is what `evaluate` is for. Every draw has a key of its
own, so that training is the same, to the last bit, with validation and without.
"""

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn

from blindsr.config.schema import ValidationParams
from blindsr.data import images, suite
from blindsr.data.patch_store import PatchStore
from blindsr.model import taps
from blindsr.runtime import devices
from blindsr.training.ema import Ema

_CONTRAST = 5.0  # levels: the PSNR of a flatter window is infinite at first, and its fall would be all that one sees
_TRIES = 100


class Validation:
    """Called after an iteration: {"psnr_db_CASE": mean over the windows} and, of two cases or more, the distances of
    `statistics_distances`, if it is time; else {}.
    """

    def __init__(
        self, store: PatchStore, params: ValidationParams, backbone: nn.Module, crop: int, scale: int
    ) -> None:
        """Windows of `crop` px, the same for every run. `backbone` is copied."""
        self._params, self._border = params, scale  # px removed before the PSNR, as in the tables
        self._network = copy.deepcopy(backbone).eval()
        draw = np.random.Generator(np.random.Philox(key=[0, 0]))
        self._hr = [_window(store, crop, draw) for _ in range(params.windows)]
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
        """PSNR in dB of each case on RGB, rounded to 8 bits, and the distances of the first case from the last.

        The distances are of the same two views for every regularizer, also for those that see one view in training.
        Computed on the device of `ema`.
        """
        if iteration % self._params.every:
            return {}
        device = next(iter(ema.state_dict().values())).device
        network = self._network.to(device)
        ema.copy_to(network)
        hr = torch.stack([torch.from_numpy(window) for window in self._hr]).permute(0, 3, 1, 2).to(device)
        psnr, views = {}, []
        for name, lr in self._lr.items():
            lr = lr.to(device)
            sr, seen = taps.read(network, lr)
            views.append(seen["last"])
            psnr[f"psnr_db_{name.replace('+', '-')}"] = _psnr(sr, hr, self._border)
        return psnr if len(views) < 2 else statistics_distances(views[0], views[-1]) | psnr


def _window(store: PatchStore, crop: int, draw: np.random.Generator) -> np.ndarray:
    """A window (crop, crop, 3), drawn again while it is flat, unless the images have nothing else."""
    for _ in range(_TRIES):
        image = store.image(int(draw.integers(store.image_count)))
        top, left = (int(draw.integers(side - crop + 1)) for side in image.shape[:2])
        window = np.ascontiguousarray(image[top : top + crop, left : left + crop])
        if window.std(axis=(0, 1)).max() >= _CONTRAST:
            break
    return window


def statistics_distances(a: Tensor, b: Tensor) -> dict[str, float]:
    """How far apart the statistics of two views' features (B, C, H, W) are; shrinking the features changes nothing.

    `mean_distance`: squared distance of the channels' means over the pixels, mean over the images, over the features'
    variance summed over the channels. `covariance_distance`: squared Frobenius distance of the channels' covariances
    over the mean of their own squared norms, which is 2 for covariances that have nothing in common.
    """
    first, second = (devices.exact(view.detach().flatten(2)) for view in (a, b))
    gap = first.mean(2) - second.mean(2)
    variance = torch.cat([first, second]).transpose(0, 1).flatten(1).var(1).sum().clamp_min(1e-30)
    sigmas = [torch.einsum("bcn,bdn->bcd", x, x) / x.shape[2] for x in (v - v.mean(2, True) for v in (first, second))]
    own = sum(sigma.square().sum() for sigma in sigmas) / 2
    return {
        "mean_distance": float(gap.square().sum(1).mean() / variance),
        "covariance_distance": float((sigmas[0] - sigmas[1]).square().sum() / max(float(own), 1e-30)),
    }


def _psnr(sr: Tensor, hr: Tensor, border: int) -> float:
    """Mean over the images, without a border, of 10 log10(255² / mean squared error), as `metrics.psnr_db`."""
    levels = (sr.float() * 255).round().clamp(0, 255)
    inside = slice(border, -border)
    error = devices.exact((levels - hr)[..., inside, inside]).square().mean((1, 2, 3))
    return sum(10 * math.log10(255**2 / value) if value else math.inf for value in error.tolist()) / len(error)
