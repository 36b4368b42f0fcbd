"""Operations that the host launches to synthesize training batches on a GPU, counted on a CPU.

A launch costs the host a few µs, whatever the device does meanwhile. Batches of several iterations are made at once:
"plain" here makes them one by one. The draws of noise, which a CPU makes in NumPy, are not the GPU's: a normal one
takes one operation there, a Poisson one about four.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Operations, Result
from blindsr.training.samples import Batch, Batches


class _OneByOne(Batches):
    together = 1


class _Few(Batches):
    together = 4


def run(quick: bool) -> list[Result]:
    """Batches of the paper, two views with USM target; quick: one group of four batches of 4 LR images."""
    params = inputs.params()
    batch, groups = (4, 1) if quick else (params.train.batch, 3)
    train = params.train.model_copy(update={"batch": batch, **({"crop": 32, "window": 96} if quick else {})})
    settings: dict[str, Any] = {"seed": 0, "views": 2, "scale": params.scale}
    with tempfile.TemporaryDirectory() as name:
        store = inputs.store(Path(name) / "store")
        alone = _OneByOne(store, train, inputs.degradation(), **settings)
        together = (_Few if quick else Batches)(store, train, inputs.degradation(), **settings)
        counts, errors = [], []
        for group in range(groups):
            iterations = range(group * together.together, (group + 1) * together.together)
            with Operations() as one_by_one:
                wanted = [made for iteration in iterations for made in _finish(alone, iteration)]
            with Operations() as at_once:
                made = _finish(together, group)
            counts.append((one_by_one.count / len(iterations), at_once.count / len(iterations)))
            for ours, theirs in zip(made, wanted, strict=True):
                errors += (ours.lr - theirs.lr).mul(255).square().mean((1, 2, 3)).tolist()
    before, now = (sum(column) / groups for column in zip(*counts, strict=True))
    # a last bit before JPEG's rounding makes a level here and there
    check = Check("median mean squared difference in levels", sorted(errors)[len(errors) // 2], Bound("<=", 0.5))
    what = f"{batch} LR images made for a GPU, alone against {together.together} batches at once"
    ratios = [one / many for one, many in counts]
    return [Result("launches", what, ratios, "x", None, f"plain {before:.0f} operations, ours {now:.0f}", [check])]


def _finish(batches: Batches, group: int) -> list[Batch]:
    return batches.finish(batches.sources(group), torch.device("cpu"))
