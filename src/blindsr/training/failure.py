"""A batch whose loss is not finite: kept with the weights that met it, and made again to look at."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blindsr.model.network import Network
from blindsr.plugins.regularizers.base import Step
from blindsr.runtime import files
from blindsr.runtime.errors import UserError
from blindsr.training import checkpoint
from blindsr.training.loading import made_on_host
from blindsr.training.objective import Objective, Terms
from blindsr.training.samples import Batch, Batches

WEIGHTS, _BATCH, _TRACE = ".failure.pt", ".failure.json", ".failure.txt"


def record(states: Path, run: str, iteration: int, network: Network, batches: Batches, main: bool) -> UserError:
    """Write down the iteration, its weights, and its samples' keys and parameters, beside the folder of the states.

    Args:
        states: Folder of the run's states.
        run: Name of the run, BACKBONE-REG-SEED.
        iteration: Whose loss or gradient is not finite, from 0.
        network: With the weights that the iteration began with.
        batches: The run's batches.
        main: Whether this is rank 0, which alone writes.

    Returns:
        The error to raise. It names the command that shows the batch.
    """
    if main:
        state = {"iteration": iteration, "network": network.state_dict()}
        content = checkpoint.dump(state)
        files.write_atomic(_beside(states, WEIGHTS), files.seal(content, WEIGHTS) + content)
        described = {"iteration": iteration + 1, "samples": batches.describe(iteration)}
        files.write_atomic(_beside(states, _BATCH), json.dumps(described, indent=1, sort_keys=True) + "\n")
    return UserError(
        f"training diverged: the loss or its gradient is not finite in iteration {iteration + 1}; lower "
        f"train.learning_rate or the regularizer's weight; `blindsr train {run.replace('-', ' ')} --replay` shows "
        "the batch"
    )


def without_batch(states: Path, error: UserError, trace: str) -> UserError:
    """Say in one line why there is no batch, and what is kept; for who wrote a plug-in, the whole trace is in a file.

    Args:
        states: Folder of the run's states.
        error: Says what is wrong with the batch, or with the processes that make them.
        trace: Of the error in the plug-in; "" for none.

    Returns:
        The error to raise.
    """
    said = f"{error}"
    if trace:
        file = _beside(states, _TRACE)
        files.write_atomic(file, trace)
        said += f": check the settings of degradation (the traceback is in {file})"
    return UserError(f"{said}; {checkpoint.resumption(states)}")


def forget(states: Path) -> None:
    """Remove what `record` wrote, once the run has ended well."""
    for suffix in (WEIGHTS, _BATCH, _TRACE):
        _beside(states, suffix).unlink(missing_ok=True)


def load(folder: Path, key: str) -> dict[str, Any]:
    """Read the newest record of a run.

    Args:
        folder: Of the states of all runs.
        key: What the name of the run's states begins with, whatever code wrote them.

    Returns:
        "iteration", from 0, and "network", the state dict that it began with.

    Raises:
        UserError: if there is none, or it is damaged.
    """
    found = sorted(folder.glob(f"{key}*{WEIGHTS}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError("nothing to replay: no training of this run, with these settings, has met a loss not finite")
    try:
        return checkpoint.parse(bytes(files.unsealed(found[-1], WEIGHTS)))
    except ValueError:
        raise UserError(f"{found[-1]} is damaged: delete it; the same training meets the same batch again") from None


def is_whole(path: Path) -> bool:
    """Whether a record is what was written."""
    try:
        files.unsealed(path, WEIGHTS)
    except (OSError, ValueError):
        return False
    return True


def replay(
    objective: Objective, batches: Batches, iteration: int, iterations: int, device: torch.device
) -> Iterator[str]:
    """Make a batch again, and say what is in it and what the objective makes of it.

    Args:
        objective: With the weights of the record. Torch's generators are keyed for the iteration already.
        batches: The run's batches.
        iteration: From 0.
        iterations: Of the whole training.
        device: That the objective is on.

    Returns:
        Lines to print: loss terms; ranges of the tensors; each sample's place, L1 and drawn parameters; gradients
        that are not finite.
    """
    batch = _batch(batches, iteration, device)
    views = objective.network.views
    terms: Terms = objective(Step(batch.lr, batch.hr, views, iteration / iterations))
    error = (terms.sr.float() - batch.hr.repeat(views, 1, 1, 1)).abs().mean((1, 2, 3))
    samples = batches.describe(iteration)
    shown = {"L1" if name == "l1" else name: term for name, term in terms.parts.items()}
    shown |= {"penalty": terms.penalty, "loss": terms.loss}
    said = [f"{name} {float(term):g}" for name, term in shown.items()]
    yield f"iteration {iteration + 1}: {', '.join(said)}"
    for name, tensor in (("lr", batch.lr), ("hr", batch.hr), ("features", terms.features), ("sr", terms.sr)):
        if tensor is None:
            continue
        yield f"  {name}: {_range(tensor)}"
    for number, sample in enumerate(samples):
        place = f"{sample['image']} at ({sample['top']}, {sample['left']})" + (
            " flipped" if sample["flipped"] else ""
        )
        yield f"sample {number}: key {sample['key']}, {place}, hr {_range(batch.hr[number])}"
        for view, drawn in enumerate(sample["views"]):
            row = view * len(samples) + number
            yield f"  view {view}: L1 {float(error[row]):g}, lr {_range(batch.lr[row])}, sr {_range(terms.sr[row])}"
            for part, value in drawn.items():
                yield f"    {part}: {_plain(value)}"
    terms.loss.backward()
    for parameter_name, parameter in objective.network.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            yield f"gradient of {parameter_name}: {_range(parameter.grad)}"
    if terms.loss.isfinite():
        yield "this loss is finite here: on the device of that training it was not, or a gradient was not"


def _batch(batches: Batches, iteration: int, device: torch.device) -> Batch:
    if made_on_host(device):
        return Batch(*(tensor.to(device) for tensor in batches[iteration]))
    group, place = divmod(iteration, batches.together)
    return batches.finish(batches.sources(group), device)[place]


def _range(tensor: Tensor) -> str:
    values = tensor.detach().float()
    finite = values[values.isfinite()]
    bad = values.numel() - finite.numel()
    span = "nothing finite"
    if finite.numel():
        span = f"[{float(finite.min()):.4g}, {float(finite.max()):.4g}] mean {float(finite.mean()):.4g}"
    return f"{span}, {bad} of {values.numel()} not finite" if bad else span


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _beside(states: Path, suffix: str) -> Path:
    return states.with_name(states.name + suffix)
