"""A whole training iteration: worker process, batched loss and windows against one process that does all in turn.

Both use all cores for the network: the plain loop for everything, ours beside one worker, as `blindsr train` runs.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, times
from benchmarks.plain import alignment, patches
from benchmarks.plain.trainer import Trainer
from benchmarks.step import cores
from blindsr.data.patch_store import PatchStore
from blindsr.model import architecture, taps
from blindsr.model.network import Network, build_regularizer
from blindsr.plugins.regularizers import rff
from blindsr.plugins.regularizers.base import Step
from blindsr.runtime import devices
from blindsr.training import trainer
from blindsr.training.distributed import World
from blindsr.training.losses import build_losses
from blindsr.training.samples import Batches

_DIM, _WEIGHT = 32, 1000.0


def run(quick: bool) -> list[Result]:
    """SRResNet with rff, 4 patches in two views, USM target, reading included."""
    hyper = {"num_blocks": 1, "num_features": 8} if quick else {}
    repetitions, iterations, batch, threads = (1, 1, 1, 1) if quick else (5, 2, 4, cores())
    with tempfile.TemporaryDirectory() as name, devices.threads(threads):
        folder = Path(name)
        store = inputs.store(folder / "store")
        windows = inputs.windows()
        patches.write(store, windows, folder / "png", patches.PNG)
        plain, ours = _plain(folder / "png", len(windows), _network(hyper), batch), _network(hyper)
        check = _same_loss(plain, ours)
        taken = []
        for repetition in range(-1, repetitions):
            start = time.perf_counter()
            for _ in range(iterations):
                plain.iterate()
            elapsed = time.perf_counter() - start
            pair = (elapsed / iterations, _train(ours, store, folder / "states", iterations, batch))
            taken += [pair] if repetition >= 0 else []
    seconds = np.array(taken).T
    return [
        Result(
            "iteration",
            f"SRResNet with rff, {batch} patches x 2 views, {threads} network threads",
            (seconds[0] / seconds[1]).tolist(),
            "x",
            Bound(">=", 2.2),
            times(*seconds),
            [check],
        )
    ]


def _network(hyper: dict[str, int]) -> Network:
    regularizer = build_regularizer("rff", {"dim": _DIM})
    return Network(trainer.initialize(lambda: architecture.build_backbone("srresnet", hyper, 4), 0), regularizer)


def _plain(folder: Path, count: int, network: Network, batch: int) -> Trainer:
    params = inputs.params()

    def penalty(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return alignment.rff(a, b, *rff.draw(a.shape[1], _DIM, 1.0))

    return Trainer(
        folder=folder,
        count=count,
        network=network.backbone,
        optimizer=torch.optim.Adam(network.parameters(), lr=params.train.learning_rate),
        average=[parameter.detach().clone() for parameter in network.parameters()],
        degradation=inputs.degradation(),
        penalty=penalty,
        weight=_WEIGHT,
        batch=batch,
        crop=params.train.crop,
        usm_target=params.train.usm_target,
        generator=np.random.default_rng(0),
    )


def _train(network: Network, store: PatchStore, states: Path, iterations: int, batch: int) -> float:
    """Seconds of an iteration of `blindsr train` once it runs: the start of its worker is not counted."""
    params = inputs.params()
    total = 2 * iterations
    settings = {"batch": 2 * batch, "iterations": total, "log_every": iterations, "threads": torch.get_num_threads()}
    train = params.train.model_copy(update=settings)
    moments: list[float] = []
    trainer.train(
        network,
        Batches(store, train, inputs.degradation(), seed=0, views=2, scale=params.scale),
        train,
        losses=build_losses(train),
        weight=_WEIGHT,
        seed=0,
        states=states,
        world=World(torch.device("cpu")),
        workers=1,
        checkpoint_every=total,
        log=lambda iteration, point: moments.append(time.perf_counter()),
        label="ours",
    )
    return (moments[-1] - moments[0]) / iterations


def _same_loss(plain: Trainer, ours: Network) -> Check:
    """Of the same images and weights, by both ways of computing it."""
    lr, hr = torch.rand(2, 3, 16, 16), torch.rand(1, 3, 64, 64)
    torch.manual_seed(0)
    step = Step(lr, hr, 2)
    penalty = ours(step)
    assert step.sr is not None
    one = functional.l1_loss(step.sr, hr.repeat(2, 1, 1, 1)) + _WEIGHT * penalty
    torch.manual_seed(0)
    sr, seen = taps.read(plain.network, lr)
    other = functional.l1_loss(sr, hr.repeat(2, 1, 1, 1)) + _WEIGHT * plain.penalty(*seen["last"].chunk(2))
    return Check(
        "relative difference of the loss", float((one - other).detach().abs() / other.detach()), Bound("<=", 1e-5)
    )
