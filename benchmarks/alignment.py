"""The alignment penalties with their gradients: all pairs at once against a loop over the pairs.

The released penalty, on pooled features, is bound by the number of calls. The other two are bound by arithmetic on
whole feature maps: three of the loop's six products of C x N matrices remain (and all cosines), so that their ratio
on a CPU ends near 2 to 4, whatever the number of pairs.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Operations, Result, compare
from benchmarks.plain import alignment as plain
from blindsr.config import registry
from blindsr.plugins.regularizers import rff, rff_released

Penalty = Callable[[Tensor, Tensor], Tensor]
Views = tuple[Tensor, Tensor]
PAIRS = 16


def run(quick: bool) -> list[Result]:
    """16 pairs of SRResNet's features of the paper, 64 channels of 128x128 px, value and gradient."""
    shape = (PAIRS, 8, 16, 16) if quick else (PAIRS, 64, 128, 128)
    results = []
    for name, loop in (("rff_released", _released), ("linear", plain.linear), ("rff", _rff)):
        penalty = partial(inputs.distance, registry.load("regularizer", name)())
        checks = [_agreement(penalty, loop, (PAIRS, 64, 16, 16)), _constant_operations(penalty)]
        views = _views(shape, torch.float32)
        if name == "rff_released":  # the rest of it is the mean over the pixels, the same on both sides
            a, b = (view.detach().mean((2, 3), keepdim=True).requires_grad_() for view in views)
            views = a, b
        calls = 10 if views[0].shape[2] == 1 and not quick else 1  # a call of a millisecond is too short to time
        results.append(
            compare(
                "alignment",
                f"{name}, {PAIRS} pairs of {'x'.join(map(str, views[0].shape[1:]))}, {calls} calls",
                Bound(">=", 8),
                checks,
                1 if quick else (25 if name == "rff_released" else 7),
                partial(_repeat, calls, loop, views),
                partial(_repeat, calls, penalty, views),
            )
        )
    return results


def _views(shape: tuple[int, ...], dtype: torch.dtype) -> Views:
    """Two views whose features differ by a tenth of their spread."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(shape, generator=generator, dtype=dtype) * 0.3
    b = a + 0.03 * torch.randn(shape, generator=generator, dtype=dtype)
    return a.requires_grad_(), b.requires_grad_()


def _rff(a: Tensor, b: Tensor) -> Tensor:
    weight, phase = rff.draw(a.shape[1], 32, 1.0)
    return plain.rff(a, b, weight.to(a), phase.to(a))


def _released(a: Tensor, b: Tensor) -> Tensor:
    slope, phase = rff_released.draw(a.shape[0], a.shape[1])
    return plain.rff_released(a, b, slope.to(a), phase.to(a))


def _backward(penalty: Penalty, views: Views) -> list[Tensor]:
    return list(torch.autograd.grad(penalty(*views), views))


def _repeat(calls: int, penalty: Penalty, views: Views) -> None:
    torch.manual_seed(0)  # once: it takes a good part of what a call does
    for _ in range(calls):
        _backward(penalty, views)


def _agreement(penalty: Penalty, loop: Penalty, shape: tuple[int, ...]) -> Check:
    """Relative difference of the gradients by both, in float64 so that no rounding hides a difference."""
    views = _views(shape, torch.float64)
    gradients = []
    for one in (penalty, loop):
        torch.manual_seed(0)
        gradients.append(_backward(one, views))
    ours, theirs = gradients
    worst = max(float((x - y).norm() / y.norm()) for x, y in zip(ours, theirs, strict=True))
    return Check("gradient relative difference", worst, Bound("<=", 1e-6))


def _constant_operations(penalty: Penalty) -> Check:
    """Operations that torch dispatches for value and gradient, 16 pairs less 2 pairs."""
    counts = []
    for pairs in (2, PAIRS):
        views = _views((pairs, 8, 8, 8), torch.float32)
        with Operations() as counter:
            _backward(penalty, views)
        counts.append(counter.count)
    return Check(f"operations for 16 pairs ({counts[1]}) less those for 2", counts[1] - counts[0], Bound("<=", 0))
