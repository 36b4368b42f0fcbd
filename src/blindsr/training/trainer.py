"""Training of one cell: a backbone with a regularizer, from one seed, on synthesized degradations.

`dvc repro train@srresnet-rff-0` or `blindsr train srresnet rff 0` runs it; killed, it goes on from its last
checkpoint and ends with the same bytes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from blindsr import devices
from blindsr.errors import UserError
from blindsr.networks import Network, Prediction
from blindsr.progress import Bar
from blindsr.settings import TrainParams
from blindsr.training import checkpoint
from blindsr.training.ema import Ema
from blindsr.training.samples import Batch, Batches
from blindsr.training.schedule import learning_rate

Module = TypeVar("Module", bound=nn.Module)
CurvePoint = dict[str, float]
"""One row of a learning curve: iteration, learning_rate, l1, penalty and the diagnostics of `_diagnose`."""


@dataclass
class State:
    """All that a resumed run needs; the generators are keyed by the iteration, so they need no state."""

    network: Network
    optimizer: torch.optim.Optimizer
    ema: Ema
    iteration: int = 0
    sums: Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    curve: list[CurvePoint] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, as `torch.load(weights_only=True)` takes them."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict(),
            "iteration": self.iteration,
            "sums": self.sums,
            "curve": self.curve,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        self.iteration = state["iteration"]
        self.sums.copy_(state["sums"])
        self.curve = state["curve"]


def train(
    network: Network,
    batches: Batches,
    params: TrainParams,
    *,
    weight: float,
    seed: int,
    states: Path,
    device: torch.device,
    workers: int,
    checkpoint_every: int,
    log: Callable[[int, CurvePoint], None],
    label: str = "train",
) -> list[CurvePoint]:
    """Train `network` in place (its backbone ends with the EMA weights); returns the learning curve.

    `weight` is that of the penalty beside L1; `states` the folder of the resumable state; `log` gets every new
    point of the curve. Raises UserError if the loss is no longer finite, or bf16 is asked of a CPU.
    """
    _require_precision(params.precision, device)
    network.to(device).train()
    optimizer = torch.optim.Adam(
        network.parameters(), lr=params.learning_rate, betas=params.betas, fused=device.type == "cuda"
    )
    state = State(network, optimizer, Ema(network.backbone, params.ema_decay))
    saved = checkpoint.latest(states)
    if saved is not None:
        state.load_state_dict(saved)
    state.sums = state.sums.to(device)
    for point in state.curve:
        log(int(point["iteration"]), point)
    with devices.threads(params.threads), Bar(label, params.iterations, state.iteration) as bar:
        for batch in _load(batches, state.iteration, params.iterations, workers, device):
            _step(state, batch, params, weight, seed)
            if state.iteration % params.log_every == 0 or state.iteration == params.iterations:
                log(state.iteration, state.curve[-1])
                bar.advance(note=f"L1 {state.curve[-1]['l1']:.4f}")
            else:
                bar.advance()
            if state.iteration % checkpoint_every == 0 and state.iteration < params.iterations:
                checkpoint.save(states, state.iteration, state.state_dict())
    state.ema.copy_to(network.backbone)
    return state.curve


def _step(state: State, batch: Batch, params: TrainParams, weight: float, seed: int) -> None:
    """One iteration: forward of all views, L1 of each against HR plus the weighted penalty, Adam, EMA."""
    network, optimizer, iteration = state.network, state.optimizer, state.iteration
    _seed_torch(seed, iteration + 1)  # Dropout's masks and the random features of this iteration
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(params.schedule, params.learning_rate, iteration, params.iterations)
    device = state.sums.device
    with torch.autocast(device.type, torch.bfloat16, enabled=params.precision == "bf16"):
        prediction = network(batch.lr)
    l1 = functional.l1_loss(prediction.sr.float(), batch.hr.repeat(network.views, 1, 1, 1))
    penalty = prediction.penalty.float()
    last = (iteration + 1) % params.log_every == 0 or iteration + 1 == params.iterations
    diagnosis = _diagnose(prediction, l1, weight * penalty) if last and network.views == 2 else {}
    optimizer.zero_grad(set_to_none=True)
    (l1 + weight * penalty).backward()
    optimizer.step()
    state.ema.update(network.backbone)
    state.iteration += 1
    state.sums += torch.stack([l1.detach(), penalty.detach()])
    if last:
        _close_interval(state, params, diagnosis)


def _close_interval(state: State, params: TrainParams, diagnosis: CurvePoint) -> None:
    """Append the means since the last point to the curve. Raises UserError if training has diverged."""
    count = (state.iteration - 1) % params.log_every + 1
    l1, penalty = (state.sums / count).tolist()
    if not (abs(l1) < float("inf") and abs(penalty) < float("inf")):
        raise UserError(
            f"training diverged before iteration {state.iteration} (L1 {l1:g}, penalty {penalty:g}): "
            "lower train.learning_rate or the regularizer's weight"
        )
    state.sums.zero_()
    rate = state.optimizer.param_groups[0]["lr"]
    nothing = {"penalty_gradient_share": 0.0, "view_distance": 0.0}
    state.curve.append(
        {"iteration": state.iteration, "learning_rate": rate, "l1": l1, "penalty": penalty, **(diagnosis or nothing)}
    )


def _diagnose(prediction: Prediction, l1: Tensor, penalty: Tensor) -> CurvePoint:
    """What a raw penalty hides: its share of the features' gradient, and whether the views really agree.

    `view_distance` is the mean squared distance of the two views' features over their variance: shrinking the
    features lowers the penalty, and leaves this as it is.
    """
    of_l1, of_penalty = (
        torch.autograd.grad(loss, prediction.features, retain_graph=True)[0].float().norm() for loss in (l1, penalty)
    )
    first, second = prediction.features.detach().float().chunk(2)
    variance = prediction.features.detach().float().var(dim=(0, 2, 3)).mean()
    distance = (first - second).square().mean() / variance.clamp_min(1e-12)
    return {
        "penalty_gradient_share": float(of_penalty / (of_l1 + of_penalty).clamp_min(1e-30)),
        "view_distance": float(distance),
    }


def _load(batches: Batches, start: int, stop: int, workers: int, device: torch.device) -> Iterator[Batch]:
    loader: DataLoader[Batch] = DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_start_worker,
    )
    iterator = iter(loader)
    for _ in range(start, stop):
        with devices.threads(1):  # as in a worker process: the number of workers changes no bit
            batch = next(iterator)
        yield Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))


def _start_worker(worker: int) -> None:
    devices.keep_freed_memory()
    torch.set_num_threads(1)


def _require_precision(precision: str, device: torch.device) -> None:
    if precision == "bf16" and device.type != "cuda":
        raise UserError("train.precision bf16 needs a GPU (on a CPU it is many times slower): set it to fp32")


def initialize(build: Callable[[], Module], seed: int) -> Module:
    """What `build` returns, with the initial weights of a seed: the same for every regularizer."""
    _seed_torch(seed, 0)
    return build()


def _seed_torch(seed: int, moment: int) -> None:
    """Key torch's default generators; mixed, since on a CPU they keep only 32 bits of what they are given."""
    torch.manual_seed(int(np.random.SeedSequence([seed, moment]).generate_state(1)[0]))
