"""What a grid costs on this machine: its runs, their state, operations and hours."""

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from blindsr.analysis.training_cost import operations
from blindsr.apps import grid
from blindsr.config.params import Params
from blindsr.config.run import Row, Run
from blindsr.data.patch_store import INDEX
from blindsr.plugins.regularizers.base import Step
from blindsr.runtime import devices, packages, paths
from blindsr.runtime.errors import UserError
from blindsr.stages import train
from blindsr.training import trainer
from blindsr.training.distributed import World
from blindsr.training.losses import build_losses
from blindsr.training.objective import Objective

_WARM, _TIMED = 5, 20  # iterations of a probe


class Cost(NamedTuple):
    """Of one iteration: floating-point operations (two per multiply-add) and seconds, on one device."""

    flops: int
    seconds: float


def show(params: Params) -> None:
    """Print the plan; probes every backbone with every regularizer that is not trained yet, one after the other.

    Raises UserError without data/patches.
    """
    packages.require("dvc", "`blindsr grid`")
    if not (paths.PATCHES / INDEX).exists():
        raise UserError(f"a plan needs {paths.PATCHES}, which is not there: run `dvc repro patches` first")
    states, costs = grid.states(params), dict[Row, Cost]()
    table = Table("run", "state", "FLOP / iteration", "FLOP left", "ms / iteration", "hours left")
    total = 0.0
    for run, state in zip(params.runs, states, strict=True):
        if state.trained:
            table.add_row(run.name, str(state), "", "", "", "")
            continue
        row = Row(run.backbone, run.reg)
        if row not in costs:
            costs[row] = probe(params, run)
        cost, left = costs[row], params.train.iterations - state.iteration
        hours = cost.seconds * left / 3600
        total += hours
        numbers = (f"{cost.flops:.3g}", f"{cost.flops * left:.3g}", f"{cost.seconds * 1000:.1f}", f"{hours:.2f}")
        table.add_row(run.name, str(state), *numbers)
    Console(width=120).print(table)
    print(f"{total:.2f} hours of training left on one device ({_device(params)}), by probes of {_TIMED} iterations;")
    print("evaluation and analysis come on top; `blindsr grid` shares the runs among all GPUs (--per-device K)")


def probe(params: Params, run: Run) -> Cost:
    """Cost of a run's iteration with its real data, measured over twenty iterations."""
    world = World(devices.choose(params.runtime.device))
    devices.keep_freed_memory()
    devices.make_repeatable(world.device)  # both as in training, which they make faster and slower
    network = train.build_network(params, run)
    batches = train.build_batches(params, run.seed, network.views, world)
    weight = params.reg.settings[run.reg].weight
    bf16 = params.train.precision == "bf16"
    batch = batches[0]  # for its shapes
    losses = build_losses(params.train, train.trunk(params)).to(world.device)
    objective = Objective(network.to(world.device).train(), losses, weight, bf16=bf16)
    with operations() as counter:
        lr, hr = (tensor.to(world.device) for tensor in batch)
        objective(Step(lr, hr, network.views)).loss.backward()
    network.zero_grad(set_to_none=True)

    # the curve's points, which wait for the device, are the clock
    length = {"iterations": _WARM + _TIMED, "log_every": _WARM}
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer.train(
            network,
            batches,
            params.train.model_copy(update=length),
            losses=losses,
            weight=weight,
            seed=run.seed,
            states=Path(folder),
            world=world,
            workers=params.runtime.workers,
            checkpoint_every=_WARM + _TIMED,
            log=lambda iteration, point: times.append(time.perf_counter()),
            label=f"probe of {run.row}",
            compiled=params.runtime.compile,
            replayed=params.runtime.cuda_graph,
        )
    return Cost(counter.get_total_flops(), (times[-1] - times[0]) / _TIMED)


def _device(params: Params) -> str:
    device = devices.choose(params.runtime.device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple's MPS"
    return f"CPU, {params.train.threads} threads and {params.runtime.workers} workers"
