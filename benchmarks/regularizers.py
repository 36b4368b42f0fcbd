"""What each regularizer adds to a training step of SRResNet on the same number of LR images.

Of a regularizer is timed what it adds to a step: the penalty or the perturbation and its gradient, back to where
it is added to that of L1. Timing two whole steps would drown a few percent in the noise of the machine.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, duration, interleave
from benchmarks.step import build
from blindsr import devices, networks, plugins
from blindsr.regularizers._blocks import Regularizer


def run(quick: bool) -> list[Result]:
    """The paper's step: 16 LR images of 32x32 px, threads as training has them."""
    params = inputs.params()
    hyper = {"num_blocks": 1, "num_features": 8} if quick else {}
    images, side = (4, 8) if quick else (params.train.batch, params.train.crop // params.scale)
    network, step = build(hyper, images, side)
    with torch.no_grad():
        features = network.backbone.features(torch.rand(images, 3, side, side))
    names = [name for name in plugins.names("regularizer") if name != "none"]
    regularizers = [
        networks.build_regularizer(name, params.reg.settings[name].hyper_for("srresnet")).train() for name in names
    ]
    with devices.threads(params.train.threads):
        seconds = interleave(
            1 if quick else 5, step, *[_added(regularizer, features) for regularizer in regularizers]
        )
    results = []
    for name, regularizer, taken in zip(names, regularizers, seconds[1:], strict=True):
        results.append(
            Result(
                "regularizers",
                f"{name}, share of a step of {images} LR images",
                (100 * taken / seconds[0]).tolist(),
                "%",
                Bound("<=", 3),
                f"step {duration(float(seconds[0].min()))}, of it added {duration(float(taken.min()))} at best",
                [_finite(regularizer, features)],
            )
        )
    return results


def _added(regularizer: Regularizer, features: Tensor) -> Callable[[], None]:
    leaf = features.clone().requires_grad_()
    leaf.grad = torch.zeros_like(leaf)  # that of L1, to which the new one is added

    def added() -> None:
        if regularizer.views == 2:
            regularizer.penalty(*leaf.chunk(2)).backward()
        else:
            regularizer.perturb(leaf).backward(features)

    return added


def _finite(regularizer: Regularizer, features: Tensor) -> Check:
    leaf = features.clone().requires_grad_()
    value = regularizer.penalty(*leaf.chunk(2)) if regularizer.views == 2 else regularizer.perturb(leaf).sum()
    (gradient,) = torch.autograd.grad(value, leaf)
    return Check("gradient, norm", float(gradient.norm().nan_to_num(0, 0, 0)), Bound(">", 0))
