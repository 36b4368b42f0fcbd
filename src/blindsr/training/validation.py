"""What the averaged weights do while training: PSNR and added detail on a few windows of training images, under the
degradation that is trained on and under test cases, and whether features still tell contents apart.

The network also sees these images in training, degraded otherwise: the curve shows whether training goes well, not
how well the network generalizes; that is what `evaluate` is for. Every draw has a key of its own, so that training is
the same, to the last bit, with validation and without.
"""

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blindsr.config.schema import TRAINED, ValidationParams
from blindsr.data import images, suite
from blindsr.data.images import RGB
from blindsr.data.patch_store import PatchStore
from blindsr.model import taps
from blindsr.plugins.degradations.base import Degradation
from blindsr.plugins.metrics.operators.detail import DetailOf
from blindsr.plugins.regularizers.base import Share
from blindsr.plugins.regularizers.operators import affine
from blindsr.runtime import devices
from blindsr.training.ema import Ema
from blindsr.training.samples import generator

COLLAPSED = 1e-3
"""Features whose `content_divergence` is below this hardly depend on the image."""
_FALLEN = 0.01  # of the largest so far
_CONTRAST = 5.0  # levels: the PSNR of a flatter window is infinite at first, and its fall would be all that one sees
_TRIES = 100
_RIDGE = 0.01  # as the affine forms of alignment


class Validation:
    """Called after an iteration: if it is time, what the averaged weights do there; else {}."""

    def __init__(
        self,
        store: PatchStore,
        params: ValidationParams,
        backbone: nn.Module,
        crop: int,
        scale: int,
        degradation: Degradation[Any] | None = None,
        window: int = 0,
    ) -> None:
        """The windows are the same for every run.

        Args:
            store: The training images.
            params: How many windows, when, and under which cases.
            backbone: Is copied.
            crop: HR px of a window.
            scale: HR px along a side of an LR px; as many px at each side do not count, as in the tables.
            degradation: That is trained on; None leaves it out.
            window: HR px that are degraded around the crop by it, as in training.
        """
        self._params, self._detail = params, DetailOf(scale)
        self._network = copy.deepcopy(backbone).eval()
        draw = np.random.Generator(np.random.Philox(key=[0, 0]))
        side = max(crop, min(window, store.smallest_side // scale * scale))
        inside = (side - crop) // 2 // scale * scale
        wide = [_window(store, side, crop, inside, draw) for _ in range(params.windows)]
        middle = slice(inside, inside + crop)
        self._hr = [np.ascontiguousarray(image[middle, middle]) for image in wide]
        self._lr: dict[str, list[RGB]] = {
            name: [
                suite.degrade_case(image, case, suite.case_generator(0, "validation", name, str(number)), scale)
                for number, image in enumerate(self._hr)
            ]
            for name, case in params.cases.items()
        }
        self._second_view: list[RGB] = []
        if degradation:
            middle = slice(inside // scale, (inside + crop) // scale)
            views = [images.to_uint8(view[:, middle, middle]) for view in _degraded(degradation, wide, scale)]
            self._lr = {TRAINED: views[: len(wide)]} | self._lr
            self._second_view = views[len(wide) :]

    @torch.no_grad()
    def __call__(self, iteration: int, ema: Ema) -> dict[str, float]:
        """Numbers of the averaged weights, computed on the device of `ema`.

        Args:
            iteration: That has just ended.
            ema: The averaged weights.

        Returns:
            Empty unless `every` divides the iteration. Of each case: `psnr_db_CASE` on RGB, rounded to 8 bits, and
            `detail_cosine_CASE`, `detail_amplitude_CASE` as the metrics of these names, means over the windows. Of
            the trained degradation also `detail_scale_training`: what the added detail has to be multiplied by for
            the least squared error; and of features what `divergences` says. Of two test cases or more,
            `statistics_distances` of the first case and the last, of the same two views for every regularizer.
        """
        if iteration % self._params.every:
            return {}
        device = next(iter(ema.state_dict().values())).device
        network = self._network.to(device)
        ema.copy_to(network)
        found: dict[str, float] = {}
        features = {}
        for name, lr in self._lr.items():
            sr, seen = taps.read(network, _batch(lr).to(device))
            features[name] = seen["last"]
            made = map(images.to_uint8, sr.float().cpu())
            details = [self._detail(*each) for each in zip(made, self._hr, lr, strict=True)]
            label = name.replace("+", "-")
            found |= {
                f"psnr_db_{label}": _mean(detail.psnr for detail in details),
                f"detail_cosine_{label}": _mean(detail.cosine for detail in details),
                f"detail_amplitude_{label}": _mean(detail.amplitude for detail in details),
            }
            if name == TRAINED:
                of_added = sum(detail.added for detail in details)
                product = sum(detail.product for detail in details)
                found["detail_scale_training"] = max(0.0, product / of_added) if of_added else 1.0
        if self._second_view:
            other = taps.read(network, _batch(self._second_view).to(device))[1]["last"]
            found |= divergences(features.pop(TRAINED), other)
        views = list(features.values())
        return found if len(views) < 2 else found | statistics_distances(views[0], views[-1])


class Collapse:
    """Tells, once, that features have come to depend no longer on the image: the trivial way to align them."""

    def __init__(self, curve: Iterable[Mapping[str, float]]) -> None:
        """Of a run that resumes after the points of `curve`."""
        self._largest, self._said = 0.0, False
        for point in curve:
            self.of(point)

    def of(self, point: Mapping[str, float]) -> str:
        """Look at a new point of the curve.

        Features that were never far apart, as those of a network that has hardly been trained, have not collapsed.

        Args:
            point: Passed over where it has no `content_divergence`.

        Returns:
            The warning, in one line; empty if there is nothing to say, or it was said.
        """
        found = point.get("content_divergence", math.nan)
        if self._said or math.isnan(found):
            return ""
        self._largest = max(self._largest, found)
        self._said = found < COLLAPSED and found < _FALLEN * self._largest
        if not self._said:
            return ""
        return (
            f"after iteration {point['iteration']:.0f} the features hardly depend on the image (content_divergence "
            f"{found:.1g}): its penalty may be paid that way, so try a smaller weight"
        )


def _batch(windows: list[RGB]) -> Tensor:
    return torch.stack([images.to_float(window) for window in windows])


def _degraded(degradation: Degradation[Any], wide: list[RGB], scale: int) -> Tensor:
    """Two views of each window, (2N, 3, h, w), of draws that no training has: its iterations are no such number."""
    windows = _batch(wide).repeat(2, 1, 1, 1)
    streams = [generator(0, 2**63, number, 0) for number in range(len(windows))]
    height, width = windows.shape[2:]
    draws = [degradation.draw(stream, height, width, scale) for stream in streams]
    return degradation.apply(windows, draws, streams, scale)


def _window(store: PatchStore, side: int, crop: int, inside: int, draw: np.random.Generator) -> RGB:
    """A window (side, side, 3), drawn again while its middle is flat, unless the images have nothing else."""
    for _ in range(_TRIES):
        image = store.image(int(draw.integers(store.image_count)))
        top, left = (int(draw.integers(length - side + 1)) for length in image.shape[:2])
        window = np.ascontiguousarray(image[top : top + side, left : left + side])
        if window[inside : inside + crop, inside : inside + crop].std(axis=(0, 1)).max() >= _CONTRAST:
            break
    return window


def divergences(a: Tensor, b: Tensor) -> dict[str, float]:
    """How far apart the feature statistics of two views are, and those of two contents; no affine map changes either.

    Args:
        a: Features (N, C, H, W) of N contents.
        b: Those of the other view.

    Returns:
        `view_divergence`: mean symmetric Kullback-Leibler divergence of the views of one content, as the penalty of
        `affine_alignment`; `content_divergence`: that of a view of one content and the other view of another one,
        near 0 where features do not depend on the image. `covariance_share`, which A does change: that of ‖ΔΣ‖² in
        ‖Δμ‖² + ‖ΔΣ‖² of the views, the penalty of `linear`; near 0 it is an alignment of means alone.
    """
    raw = affine.moments(a.detach(), b.detach(), Share())
    white = affine.whitened(raw, _RIDGE)
    contents = affine.of_contents(white)
    of_mean, of_covariance = (float((x[:, 0] - x[:, 1]).square().sum()) for x in raw)
    return {
        "covariance_share": of_covariance / max(of_mean + of_covariance, 1e-300),
        "view_divergence": float(affine.of_views(white).mean()),
        "content_divergence": float(contents.mean()) if len(contents) else math.nan,
    }


def statistics_distances(a: Tensor, b: Tensor) -> dict[str, float]:
    """Measure how far apart the statistics of two views' features are; shrinking the features changes nothing.

    Args:
        a: Features (B, C, H, W) of B images in one view.
        b: Those of the same images in the other view.

    Returns:
        `mean_distance`: squared distance of the channels' means over the pixels, mean over the images, over the
        features' variance summed over the channels. `covariance_distance`: squared Frobenius distance of the
        channels' covariances over the mean of their own squared norms, which is 2 for covariances that have nothing
        in common.
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


def _mean(values: Iterable[float]) -> float:
    """Of what is known; an undefined cosine, of nothing that is added, counts as 0.

    A window that is restored exactly has an infinite PSNR and is left out; NaN where all are.
    """
    known = [0.0 if math.isnan(value) else value for value in values if not math.isinf(value)]
    return sum(known) / len(known) if known else math.nan
