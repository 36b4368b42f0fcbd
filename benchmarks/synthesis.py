"""Two degraded views of a training crop: a window around it against the whole 400 px that are cropped at the end."""

import dataclasses

import numpy as np
import torch
from torch import Tensor

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare
from benchmarks.plain import synthesis as plain
from benchmarks.plain import usm as plain_usm
from blindsr.plugins.degradations.operators import usm
from blindsr.plugins.degradations.second_order import Drawn

_START = 64  # px where the window lies in the 400: 16 LR px, so that both have the same blocks of JPEG
_RIM = 4  # LR px


def run(quick: bool) -> list[Result]:
    """Both synthesize the same crops at equal drawn parameters, kernels included, on one thread."""
    images = inputs.crops(1 if quick else 6, plain.SIDE)
    views = [inputs.degradations(2, seed) for seed in range(len(images))]
    kernel = plain_usm.dense_kernel()
    checks = [*_common_grid(images, views), _contrast(images, views)]
    sharpened = (plain_usm.sharpen(images[:1], kernel), usm.sharpen(_window(images[:1])))
    difference = float((_crop(sharpened[0], _START + _margin()) - _crop(sharpened[1], _margin())).abs().max())
    usm_check = Check("max difference of the sharpened HR crop", difference, Bound("<=", 1e-3))
    results = []
    for name, target, with_usm in (("with", Bound(">=", 30), True), ("without", Bound(">=", 4), False)):

        def full(with_usm: bool = with_usm) -> None:
            for image, pair in zip(images.split(1), views, strict=True):
                hr = plain_usm.sharpen(image, kernel) if with_usm else image
                plain.two_views(hr, pair, (_START + _margin(),) * 2, inputs.params().train.crop)

        def windowed(with_usm: bool = with_usm) -> None:
            for image, pair in zip(images.split(1), views, strict=True):
                window = _window(image)
                _ours(usm.sharpen(window) if with_usm else window, pair)

        results.append(
            compare(
                "synthesis",
                f"two views, {name} USM, {len(images)} crops of {inputs.params().train.crop} px",
                target,
                [*checks, usm_check] if with_usm else checks,
                1 if quick else 5,
                full,
                windowed,
            )
        )
    return results


def _margin() -> int:
    return (inputs.params().train.window - inputs.params().train.crop) // 2


def _window(image: Tensor) -> Tensor:
    side = inputs.params().train.window
    return image[:, :, _START : _START + side, _START : _START + side].contiguous()


def _crop(image: Tensor, start: int) -> Tensor:
    side = inputs.params().train.crop
    return image[:, :, start : start + side, start : start + side]


def _ours(window: Tensor, pair: list[Drawn]) -> Tensor:
    """LR crops (2, 3, crop / 4, crop / 4) of the two views."""
    generators = [np.random.default_rng(view) for view in range(len(pair))]
    lr = inputs.degradation().apply(window.expand(len(pair), -1, -1, -1), pair, generators, 4)
    start, side = _margin() // 4, inputs.params().train.crop // 4
    return lr[:, :, start : start + side, start : start + side]


def _plain(image: Tensor, pair: list[Drawn]) -> Tensor:
    return plain.two_views(image, pair, (_START + _margin(),) * 2, inputs.params().train.crop)[0]


def _common_grid(images: Tensor, views: list[list[Drawn]]) -> list[Check]:
    """Noise off, and factors that put the pixels of both on one grid; at others the two sample at other phases.

    What lies beyond the window reaches the crop's rim through JPEG's blocks and the last sinc, not its inside.
    """
    beyond, worst = [], 0.0
    for image, pair, factor in zip(images.split(1), views, [1.0, 1.25, 1.5] * len(images), strict=False):
        same = [_aligned(d, factor) for d in pair]
        levels = ((_ours(_window(image), same) - _plain(image, same)).abs() * 255).round()
        worst = max(worst, float(levels[:, :, _RIM:-_RIM, _RIM:-_RIM].max()))
        beyond.append(float((levels > 1).float().mean()))
    return [
        Check(f"max difference in levels, {_RIM} LR px inside the crop", worst, Bound("<=", 1)),
        Check("share of the whole crop that is off by more than a level", float(np.mean(beyond)), Bound("<=", 0.05)),
    ]


def _aligned(d: Drawn, factor: float) -> Drawn:
    first = dataclasses.replace(d.first, resize=factor, noise_level=0.0)
    return dataclasses.replace(d, first=first, second=dataclasses.replace(d.second, resize=1.0, noise_level=0.0))


def _contrast(images: Tensor, views: list[list[Drawn]]) -> Check:
    """Standard deviation of every view as drawn, noise included, by both; tests compare much more, on many more."""
    torch.manual_seed(0)
    differences = []
    for image, pair in zip(images.split(1), views, strict=True):
        ours, theirs = (made.std((1, 2, 3)) for made in (_ours(_window(image), pair), _plain(image, pair)))
        differences += ((ours - theirs).abs() / theirs).tolist()
    return Check("relative difference of the contrast, as drawn", float(np.mean(differences)), Bound("<=", 0.05))
