"""Unsharp masking of a training target: banded products against a dense 51x51 convolution."""

from functools import partial

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare
from benchmarks.plain import usm as plain
from blindsr.plugins.degradations.operators import usm


def run(quick: bool) -> list[Result]:
    """At the size that the product sharpens and at that of the public code, same images on both sides."""
    kernel = plain.dense_kernel()
    results = []
    for side in (64,) if quick else (inputs.params().train.window, 400):
        images = inputs.crops(2 if quick else 10, side)
        difference = float((usm.sharpen(images) - plain.sharpen(images, kernel)).abs().max())
        one = images[:1]
        results.append(
            compare(
                "usm",
                f"sharpening of {side}x{side} px",
                Bound(">=", 40),
                [Check("max difference", difference, Bound("<=", 1e-3))],
                1 if quick else 11,
                partial(plain.sharpen, one, kernel),
                partial(usm.sharpen, one),
            )
        )
    return results
