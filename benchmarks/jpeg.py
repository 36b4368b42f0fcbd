"""JPEG of a batch: one 64x64 product per block against the layers of a differentiable codec."""

from functools import partial

import torch

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare
from benchmarks.plain import jpeg as plain
from blindsr.plugins.degradations.operators import jpeg


def run(quick: bool) -> list[Result]:
    """The batch of the public code (400 px) and a single image of the product's size; random qualities."""
    generator = torch.Generator().manual_seed(0)
    results = []
    for count, side in ((1, 100), (2, 64)) if quick else ((1, inputs.params().train.window), (4, 400)):
        images = inputs.crops(count if quick else 5 * count, side)
        quality = torch.empty(len(images)).uniform_(30, 95, generator=generator)
        error = (jpeg.jpeg(images, quality) - plain.jpeg(images, quality)).double().square().mean()
        psnr_db = float(-10 * error.clamp_min(1e-20).log10())
        few, few_quality = images[:count], quality[:count]
        results.append(
            compare(
                "jpeg",
                f"{count} image{'s' * (count > 1)} of {side}x{side} px",
                Bound(">=", 1.6),
                [Check("PSNR in dB", psnr_db, Bound(">=", 70))],
                1 if quick else 25,
                partial(plain.jpeg, few, few_quality),
                partial(jpeg.jpeg, few, few_quality),
            )
        )
    return results
