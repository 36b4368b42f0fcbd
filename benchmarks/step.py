"""The training step of SRResNet against what convolutions of its own shapes reach on this machine.

The peak is the best rate, in any repetition, of any convolution of the network run alone, forward and backward.
The step has all its other layers, L1, Adam and EMA to do as well; only its convolutions' operations count.
"""

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, duration, interleave
from blindsr.model import architecture
from blindsr.model.network import Network, build_regularizer
from blindsr.plugins.regularizers.base import Step
from blindsr.runtime import devices
from blindsr.training.ema import Ema
from blindsr.training.losses import build_losses
from blindsr.training.objective import Objective


def run(quick: bool) -> list[Result]:
    """The paper's 16 LR images of 32x32 px, on the threads of the settings and on all cores."""
    params = inputs.params()
    images, side = (2, 8) if quick else (params.train.batch, params.train.crop // params.scale)
    network, step = build({"num_blocks": 1, "num_features": 8} if quick else {}, images, side)
    convolutions = _convolutions(network, images, side)
    alone = [_alone(images, *shape) for shape in sorted(set(convolutions)) if min(shape) > 3]
    operations = [count_operations(function) for function in (step, *alone)]
    # forward, and the gradients of weights and input; that of the network's own input is not needed
    by_hand = sum(
        (2 if number == 0 else 3) * images * 2 * 9 * inner * outer * width**2
        for number, (inner, outer, width) in enumerate(convolutions)
    )
    check = Check(
        "operations counted, off the sum over the layers", abs(operations[0] / by_hand - 1), Bound("<=", 1e-9)
    )
    results = []
    for threads in [1] if quick else sorted({params.train.threads, cores()}):
        with devices.threads(threads):
            seconds = interleave(1 if quick else 5, step, *alone)
        peak = max(count / float(taken.min()) for count, taken in zip(operations[1:], seconds[1:], strict=True))
        results.append(
            Result(
                "step",
                f"SRResNet, {images} LR images, {threads} thread{'s' * (threads > 1)}, share of the peak",
                (100 * operations[0] / seconds[0] / peak).tolist(),
                "%",
                Bound(">=", 60),
                f"{operations[0] / 1e9:.0f} GFLOP in {duration(float(seconds[0].min()))} at best, "
                f"peak {peak / 1e9:.0f} GFLOP/s",
                [check],
            )
        )
    return results


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build(
    hyper: dict[str, int], images: int, side: int, regularizer: str = "none"
) -> tuple[Network, Callable[[], None]]:
    """SRResNet and its training step on random LR images, as the trainer does it: two views mean half as many HR."""
    network = Network(architecture.build_backbone("srresnet", hyper, 4), build_regularizer(regularizer, {}))
    objective = Objective(network, build_losses(inputs.params().train), weight=1.0)
    optimizer = torch.optim.Adam(network.parameters())
    ema = Ema(network.backbone)
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(images, 3, side, side, generator=generator)
    hr = torch.rand(images // network.views, 3, 4 * side, 4 * side, generator=generator)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        objective(Step(lr, hr, network.views)).loss.backward()
        optimizer.step()
        ema.update(network.backbone)

    return network, step


def _convolutions(network: Network, images: int, side: int) -> list[tuple[int, int, int]]:
    """(input channels, output channels, side) of every convolution in a forward pass."""
    seen = []

    def note(module: nn.Conv2d, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen.append((module.in_channels, module.out_channels, out.shape[-1]))

    hooks = [module.register_forward_hook(note) for module in network.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        network.backbone(torch.zeros(images, 3, side, side))
    for hook in hooks:
        hook.remove()
    return seen


def _alone(images: int, channels_in: int, channels_out: int, side: int) -> Callable[[], None]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    given = torch.rand(images, channels_in, side, side, requires_grad=True)
    gradient = torch.rand(images, channels_out, side, side)

    def both_ways() -> None:
        given.grad = None
        convolution.zero_grad(set_to_none=True)
        convolution(given).backward(gradient)

    return both_ways


def count_operations(function: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products, two per multiply-add."""
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())
