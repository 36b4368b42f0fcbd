"""What each regularizer adds to a training step of SRResNet on the same number of LR images.

Of a regularizer is timed what it adds to a step: the penalty or the change and its gradient, back to where
it is added to that of L1. Timing two whole steps would drown a few percent in the noise of the machine.

`linear` needs three products of C x C and C x N matrices for each pair of views; `rff` with D random features needs
4 of D x C and C x N besides, 3 of D x D and D x N, and a sine and a cosine of 2 D N values. For the paper's 8 pairs
of 64x128x128 and D = 32 these are 3.2 and 6.2 GFLOP beside the step's 249. That sounds like 1.3 and 2.5 %, but 3x3
convolutions take fewer multiplications than are counted (Winograd), and products do not. So each row also says what
its products alone would take at the best rate of this machine for them: no implementation can go below that.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, duration, interleave
from benchmarks.step import build
from blindsr.analysis.training_cost import operations
from blindsr.config import registry
from blindsr.model import taps
from blindsr.model.network import build_regularizer
from blindsr.plugins.regularizers.base import Regularizer
from blindsr.runtime import devices


def run(quick: bool) -> list[Result]:
    """The paper's step: 16 LR images of 32x32 px, threads as training has them."""
    params = inputs.params()
    hyper = {"num_blocks": 1, "num_features": 8} if quick else {}
    images, side = (4, 8) if quick else (params.train.batch, params.train.crop // params.scale)
    network, step = build(hyper, images, side)
    with torch.no_grad():
        features = taps.read(network.backbone, torch.rand(images, 3, side, side))[1]["last"]
    free = {"none", "two_views"}  # they add nothing
    chosen: list[tuple[str, dict[str, int]]] = [(n, {}) for n in registry.names("regularizer") if n not in free]
    chosen += [(name, {"stride": 2}) for name in ("linear", "rff")]
    names = [name + "".join(f", {key} {value}" for key, value in extra.items()) for name, extra in chosen]
    regularizers = [
        build_regularizer(name, params.reg.settings[name].hyper_for("srresnet") | extra).train()
        for name, extra in chosen
    ]
    with devices.threads(params.train.threads):
        seconds = interleave(
            1 if quick else 5, step, _product, *[_added(regularizer, features) for regularizer in regularizers]
        )
    rate = _operations(_product) / float(seconds[1].min())
    results = []
    for name, regularizer, taken in zip(names, regularizers, seconds[2:], strict=True):
        count = _operations(_added(regularizer, features))
        results.append(
            Result(
                "regularizers",
                f"{name}, share of a step of {images} LR images",
                (100 * taken / seconds[0]).tolist(),
                "%",
                Bound("<=", 3),
                f"step {duration(float(seconds[0].min()))}, of it added {duration(float(taken.min()))} at best"
                + (f", {count / 1e9:.3g} GFLOP of products: {duration(count / rate)} alone" if count else ""),
                [_finite(regularizer, features)],
            )
        )
    return results


def _added(regularizer: Regularizer, features: Tensor) -> Callable[[], None]:
    leaf = features.clone().requires_grad_()
    leaf.grad = torch.zeros_like(leaf)  # that of L1, to which the new one is added

    def added() -> None:
        if regularizer.views == 2:
            inputs.penalty(regularizer, leaf).backward()
        else:
            inputs.changed(regularizer, leaf).backward(features)

    return added


_LEFT, _RIGHT = torch.ones(64, 64), torch.ones(64, 512)


def _product() -> None:
    """Products of the size that the penalties have in a CPU's cache."""
    for _ in range(200):
        torch.mm(_LEFT, _RIGHT)


def _operations(function: Callable[[], object]) -> int:
    """Floating-point operations of matrix products, two per multiply-add."""
    with operations() as counter:
        function()
    return int(counter.get_total_flops())


def _finite(regularizer: Regularizer, features: Tensor) -> Check:
    leaf = features.clone().requires_grad_()
    two = regularizer.views == 2
    value = inputs.penalty(regularizer, leaf) if two else inputs.changed(regularizer, leaf).sum()
    (gradient,) = torch.autograd.grad(value, leaf)
    return Check("gradient, norm", float(gradient.norm().nan_to_num(0, 0, 0)), Bound(">", 0))
