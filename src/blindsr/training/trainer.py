"""Training of one run: a backbone with a regularizer, from one seed, on synthesized degradations.

`dvc repro train@srresnet-rff-0` or `blindsr train srresnet rff 0` runs it; stopped or killed, it resumes from its
last checkpoint and ends with the same bytes. `distributed` has the commands for several GPUs and machines.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from blindsr.config.schema import TrainParams
from blindsr.model.network import Network
from blindsr.runtime import devices
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar, Pace
from blindsr.training import checkpoint, failure, guard, matching
from blindsr.training.distributed import World
from blindsr.training.ema import Ema
from blindsr.training.interruption import Interruption
from blindsr.training.loading import Loader, NoBatch
from blindsr.training.losses import Losses
from blindsr.training.objective import Objective
from blindsr.training.samples import Batches
from blindsr.training.schedule import learning_rate
from blindsr.training.step import Stepper
from blindsr.training.validation import Collapse, Validation

Module = TypeVar("Module", bound=nn.Module)
CurvePoint = dict[str, float]
"""One row of a learning curve: iteration, learning_rate, the losses, penalty, what `diagnose` says, validation."""
_OF_DEVICE = ("fused", "capturable")  # of Adam's settings: how it computes, and not what
_NO_DIAGNOSIS = {"penalty_gradient_share": 0.0, "view_distance": 0.0}
_LOOK_EVERY = 50  # iterations on a GPU between looks at what makes the host wait; on a CPU, every one


@dataclass
class State:
    """All that a resumed run needs; the generators are keyed by the iteration, so they need no state."""

    network: Network
    optimizer: torch.optim.Optimizer
    ema: Ema
    sums: Tensor
    weight: Tensor | float
    iteration: int = 0
    curve: list[CurvePoint] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, as `torch.load(weights_only=True)` takes them."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict(),
            "iteration": self.iteration,
            "sums": self.sums,
            "weight": float(self.weight),
            "curve": self.curve,
        }

    def size(self) -> int:
        """Bytes of all that will be in it, in files, too; Adam has two moments of each trained number."""
        tensors = [*self.network.state_dict().values(), *self.network.backbone.state_dict().values()]
        tensors += [parameter for parameter in self.network.parameters() if parameter.requires_grad for _ in range(2)]
        return sum(tensor.nbytes for tensor in tensors)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        own = [{key: group[key] for key in _OF_DEVICE} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, flags in zip(self.optimizer.param_groups, own, strict=True):
            group.update(flags)  # a run may be resumed on another kind of device
        self.ema.load_state_dict(state["ema"])
        self.iteration = state["iteration"]
        self.sums.copy_(state["sums"])
        if isinstance(self.weight, Tensor):
            self.weight.fill_(state["weight"])
        self.curve = state["curve"]


def train(
    network: Network,
    batches: Batches,
    params: TrainParams,
    *,
    losses: Losses,
    weight: float,
    seed: int,
    states: Path,
    world: World,
    workers: int,
    checkpoint_every: int,
    log: Callable[[int, CurvePoint], None],
    label: str = "train",
    validate: Validation | None = None,
    gradient_share: float | None = None,
    compiled: bool = False,
    replayed: bool = True,
) -> list[CurvePoint]:
    """Train a network in place; its backbone ends with the averaged weights.

    Args:
        network: Moved to the device of `world`.
        batches: Make this rank's part of each batch.
        params: Settings of training.
        losses: Of the SR images.
        weight: Of the penalty beside `losses`.
        seed: Of the run: keys the random numbers of each iteration.
        states: Folder of the resumable state; training goes on from the newest one in it.
        world: The processes that train together.
        workers: As for `Loader`.
        checkpoint_every: Iterations between two states.
        log: Gets the iteration and the values of every point of the curve, those of a resumed run first.
        label: Name of the run, for progress and messages.
        validate: Adds to the points of the curve, on rank 0.
        gradient_share: The weight is adapted until the penalty has this share of the gradient (see `matching`).
        compiled: Run the backbone through torch.compile.
        replayed: Let a GPU record the step and replay it (see `step`).

    Returns:
        The learning curve; whole on rank 0, the others lack validation.

    Raises:
        UserError: if the loss or its gradient is not finite (`failure` then has the batch), memory runs out, or TF32
            or bfloat16 is asked of anything but an NVIDIA GPU.
        Interrupted: after SIGTERM or Ctrl-C, with the state written.
        SystemExit: instead of an error that all ranks have at once, on all but rank 0.
    """
    device = world.device
    _require_precision(params.precision, device)
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    network.to(device, memory_format=layout).train()  # type: ignore[call-overload]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    on_gpu = device.type == "cuda"
    optimizer = torch.optim.Adam(trained, params.learning_rate, params.betas, fused=True, capturable=on_gpu)
    terms = [*losses.weights, "penalty"]
    sums = torch.zeros(len(terms), dtype=torch.float64)
    weighed = weight if gradient_share is None else matching.matched_weight(weight, network, device)
    state = State(network, optimizer, Ema(network.backbone, params.ema_decay), sums, weighed)
    saved = world.from_rank0(lambda: checkpoint.latest(states))
    if saved is not None:
        state.load_state_dict(saved)
    if world.main and state.iteration < params.iterations:
        checkpoint.require_room(states, state.size())
    state.sums = state.sums.to(device, devices.widest_float(device))
    for point in state.curve:
        log(int(point["iteration"]), point)
    if compiled:
        network.backbone.compile()
    objective = world.replicate(Objective(network, losses.to(device), weighed, bf16=params.precision == "bf16"))
    step = Stepper(objective, network, optimizer, state.ema, state.sums, weight=weighed, world=world, replay=replayed)
    every = 1 if device.type == "cpu" else _LOOK_EVERY
    loader = Loader(batches, state.iteration, params.iterations, workers, device)
    bar = Bar(label, params.iterations, state.iteration, quiet=not world.main)
    collapse = Collapse(state.curve)
    pace, loss = Pace(params.batch), ""
    rounding = devices.tf32(params.precision == "tf32")

    def keep() -> None:
        means = world.total(state.sums) / world.ranks  # whatever the number of ranks that go on from it
        if world.main:
            checkpoint.save(states, state.iteration, state.state_dict() | {"sums": means})

    source = contextlib.closing(iter(loader))
    with devices.threads(params.threads), rounding, network.taps, Interruption() as stop, bar, source as made:
        try:
            for batch in made:
                key_torch(seed, state.iteration + 1)  # Dropout's masks and the random features of this iteration
                rate = learning_rate(params.schedule, params.learning_rate, state.iteration, params.iterations)
                log_due = (state.iteration + 1) % params.log_every == 0 or state.iteration + 1 == params.iterations
                draws = partial(batches.draws, state.iteration)
                diagnosis = step(batch, rate, state.iteration / params.iterations, draws, look=log_due)
                state.iteration += 1
                point = _curve_point(state, params, terms, rate, world) | _NO_DIAGNOSIS | diagnosis if log_due else {}
                last = state.iteration == params.iterations
                due = state.iteration % checkpoint_every == 0 or last
                if point or due or state.iteration % every == 0:
                    ago = step.watch.steps_since_bad()
                    if ago:
                        bad = state.iteration - ago
                        raise world.error(failure.record(states, label, bad, network, batches, world.main))
                if point:
                    if gradient_share is not None and isinstance(weighed, Tensor):
                        point["weight"] = float(weighed)
                        matching.adapt(weighed, point["penalty_gradient_share"], gradient_share)
                    if validate and world.main:
                        point |= validate(state.iteration, state.ema)
                        if warning := collapse.of(point):
                            bar.say(f"warning: {label}: {warning}")
                    state.curve.append(point)
                    log(state.iteration, point)
                    parts = (f"{_label(name)} {point[name]:.4f}" for name in losses.weights)
                    loss = f"{' '.join(parts)} penalty {point['penalty']:.2e}"
                bar.advance(note=pace.after(loss, loader.waited))
                agreed = world.ranks == 1 or state.iteration % every == 0
                stopped = world.largest(stop.signal) if agreed and not last else 0
                if due or stopped:
                    try:
                        keep()
                    except UserError as error:
                        if not last:
                            raise
                        bar.say(f"warning: {label}: {error}")  # the result may fit, or be elsewhere
                if stopped:
                    raise world.error(stop.error(stopped, state.iteration))
        except NoBatch as error:
            if world.ranks == 1 and state.iteration and not step.watch.steps_since_bad():
                keep()
            raise failure.without_batch(states, error, error.trace) from None
        except (RuntimeError, MemoryError) as error:
            problem = guard.out_of_memory(error, device, state.iteration + 1, params.batch, params.crop)
            raise problem or error from None
    state.ema.copy_to(network.backbone)
    return state.curve


def _curve_point(state: State, params: TrainParams, terms: list[str], rate: float, world: World) -> CurvePoint:
    """The means of the `terms` since the last point; waits for the device."""
    count = (state.iteration - 1) % params.log_every + 1
    means = (world.total(state.sums) / (count * world.ranks)).tolist()
    state.sums.zero_()
    return {"iteration": state.iteration, "learning_rate": rate, **dict(zip(terms, means, strict=True))}


def _label(loss: str) -> str:
    return "L1" if loss == "l1" else loss


def _require_precision(precision: str, device: torch.device) -> None:
    if precision != "fp32" and device.type != "cuda":
        slow = " (on a CPU it is many times slower)" if precision == "bf16" else ""
        raise UserError(f"train.precision {precision} needs an NVIDIA GPU{slow}: set it to fp32")


def initialize(build: Callable[[], Module], seed: int) -> Module:
    """Build a module with the initial weights of a seed: the same for every regularizer.

    Args:
        build: Makes the module, drawing from torch's default generators.
        seed: Of the run.

    Returns:
        What `build` returned.
    """
    key_torch(seed, 0)
    return build()


def key_torch(seed: int, moment: int) -> None:
    """Key torch's default generators; mixed, since on a CPU they keep only 32 bits of what they are given.

    Args:
        seed: Of the run.
        moment: 0 for the initial weights, i + 1 for iteration i (from 0).
    """
    key = int(np.random.SeedSequence([seed, moment]).generate_state(1)[0])
    if torch.cuda.is_initialized():  # the same generators: torch.manual_seed formats a traceback each time
        torch.default_generator.manual_seed(key)
        torch.cuda.default_generators[torch.cuda.current_device()].manual_seed(key)
    else:
        torch.manual_seed(key)
