"""Blur kernels of a batch: all at once against one after the other."""

import numpy as np

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare
from benchmarks.plain import kernels as plain
from blindsr.plugins.degradations.operators import blur
from blindsr.plugins.degradations.operators.blur import Kernel


def run(quick: bool) -> list[Result]:
    """The kernels of one training iteration of the paper: 8 patches, two views, three kernels each."""
    batch = [_specs(seed, 16) for seed in range(2 if quick else 40)]
    checks = [
        Check(
            "max difference",
            max(float(np.abs(plain.synthesize(specs) - blur.synthesize(specs).numpy()).max()) for specs in batch),
            Bound("<=", 1e-6),
        )
    ]
    timed = batch[:10]
    return [
        compare(
            "kernels",
            f"synthesis of {len(batch[0])} kernels",
            Bound(">=", 8),
            checks,
            1 if quick else 25,
            lambda: [plain.synthesize(specs) for specs in timed],
            lambda: [blur.synthesize(specs) for specs in timed],
        )
    ]


def _specs(seed: int, views: int) -> list[Kernel | None]:
    drawn = inputs.degradations(views, seed)
    return [kernel for d in drawn for kernel in (d.first.kernel, d.second.kernel, d.final_sinc)]
