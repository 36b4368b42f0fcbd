"""Poisson noise: counted levels and alias tables against torch.unique and torch.poisson."""

from functools import partial

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare, same_distribution
from benchmarks.plain import noise as plain
from blindsr.plugins.degradations.operators import noise


def run(quick: bool) -> list[Result]:
    """Colour noise alone, which is the least that both must do, and a batch of which 2 of 5 are grey."""
    side = 128 if quick else inputs.params().train.window
    images = inputs.crops(5, side)
    checks = [_exact(4 if quick else 40), _against_plain(images[:1])]
    results = []
    for what, grey in (
        ("5 images, colour", [False] * 5),
        ("5 images, 2 of them grey", [False, True, False, True, False]),
    ):
        scale = torch.linspace(0.05, 3, 5)
        generators = [np.random.default_rng(i) for i in range(5)]
        results.append(
            compare(
                "poisson",
                f"{what}, {side}x{side} px",
                Bound(">=", 5),
                checks,
                1 if quick else 15,
                partial(plain.add_poisson, images, scale, torch.tensor(grey).float()),
                partial(noise.add_poisson, images, scale, grey, generators),
            )
        )
    return results


def _exact(rounds: int) -> Check:
    """Chi-square of the counts of every level of a ramp, 64 times each, against the Poisson law.

    The ramp holds all 256 levels, so v = 256. Clipping is avoided by a small scale.
    """
    ramp = (torch.arange(256.0) / 255).expand(1, 3, 64, 256)
    scale, v = 2.0**-7, 256
    inner = slice(16, 240)
    rates = np.arange(256)[inner] * v / 255
    transformed = []
    for i in range(rounds):
        noisy = noise.add_poisson(ramp, [scale], [False], [np.random.default_rng(i)])
        counts = (((noisy - ramp).double() / scale + ramp) * v).round().numpy()[0, :, :, inner]
        # randomized probability integral transform: uniform exactly if the counts are Poisson
        low, mass = stats.poisson.cdf(counts - 1, rates), stats.poisson.pmf(counts, rates)
        transformed.append(low + mass * np.random.default_rng(1000 + i).random(counts.shape))
    pvalue = stats.kstest(np.concatenate(transformed).ravel(), "uniform").pvalue
    return Check("KS p-value against the Poisson law", float(pvalue), Bound(">=", 1e-3))


def _against_plain(image: Tensor) -> Check:
    """Noise of one photo, drawn by both."""
    torch.manual_seed(0)
    small = image * 0.8 + 0.1  # away from the clipped ends
    ours = noise.add_poisson(small, [0.5], [False], [np.random.default_rng(0)]) - small
    theirs = plain.add_poisson(small, torch.tensor([0.5]), torch.zeros(1)) - small
    return same_distribution("noise of a photo against plain", theirs.flatten().tolist(), ours.flatten().tolist())
