"""Several processes that train one run together: the only importer of torch.distributed.

With `runtime.devices` above 1, `blindsr train` starts itself again under torchrun's launcher, once per GPU (NCCL) or
as so many processes on the CPU (gloo). Under a torchrun of yours, on several machines, it joins what it finds:

    torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=HOST:29400 --max-restarts=0 \\
        --no-python blindsr train srresnet rff 0

Each process has its slice of every batch. Rank 0 alone writes, tracks and shows progress.
"""

import logging
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from blindsr.runtime import devices, world
from blindsr.runtime.errors import UserError, one_line
from blindsr.runtime.world import Rank

Value = TypeVar("Value")
_PATIENCE = timedelta(minutes=5)  # that a rank waits for another one, which may be writing, validating or compiling

_GATHERING = timedelta(seconds=60)  # for all to have begun; torchrun begins them at once
_SILENCE = 5.0  # seconds after which a rank says what it waits for


@dataclass(frozen=True)
class World:
    """The processes that train one run, as one of them sees them; alone, every method is the identity."""

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def error(self, error: UserError) -> BaseException:
        """Turn an error that all ranks have at once into what this rank raises, so that rank 0 alone tells it.

        Args:
            error: The error, on every rank.

        Returns:
            The error itself on rank 0, SystemExit with its status on the others.
        """
        return error if self.main else SystemExit(error.status)

    def replicate(self, module: nn.Module) -> nn.Module:
        """Have a module's gradients averaged over the ranks in every backward pass.

        Args:
            module: Already on `device`.

        Returns:
            The module itself where there is one rank, else a DistributedDataParallel of it.
        """
        if self.ranks == 1:
            return module
        ids = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, ids, gradient_as_bucket_view=True)

    def total(self, values: Tensor) -> Tensor:
        """Sum a tensor over the ranks; every rank calls it.

        Args:
            values: Of this rank, of the same shape on all; not changed.

        Returns:
            The sum, of that shape; the same bits on each rank.
        """
        if self.ranks > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def largest(self, number: int) -> int:
        """Largest of the ranks' numbers."""
        if self.ranks == 1:
            return number
        shared = torch.tensor(number)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def from_rank0(self, make: Callable[[], Value]) -> Value:
        """Call a function on rank 0 alone, and give its result to all ranks.

        Args:
            make: Returns something that can be pickled.

        Returns:
            What it returned on rank 0.
        """
        if self.ranks == 1:
            return make()
        box = [make() if self.main else None]
        dist.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]

    def require_same(self, value: str, hint: str) -> None:
        """Refuse to go on unless all ranks give the same value; every rank calls it.

        Args:
            value: Of this rank.
            hint: What to do where they differ: the end of the message.

        Raises:
            UserError: on rank 0 where a value differs from its own; the message names that rank.
            SystemExit: then on the others.
        """
        values = [value] * self.ranks
        if self.ranks > 1:
            dist.all_gather_object(values, value)
        if len(set(values)) > 1:
            other = next(rank for rank, theirs in enumerate(values) if theirs != values[0])
            raise self.error(UserError(f"rank {other} differs from rank 0: {hint}"))

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of all ranks, to compute with; every rank calls it, and backpropagates, in the same order.

        The gradient is that of the mean over the ranks of what each computes from them, as DistributedDataParallel
        takes it: the same for all, or something for its own samples.

        Args:
            rows: (B, …) of this rank.

        Returns:
            (ranks·B, …), in the order of the ranks.
        """
        return rows if self.ranks == 1 else _Gather.apply(rows, self.rank, self.ranks)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, ranks: int) -> Tensor:
        ctx.rank, ctx.ranks = rank, ranks
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(ranks)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)  # what every rank's result has of these rows; the average divides by their number
        return total.chunk(ctx.ranks)[ctx.rank], None, None


def launched() -> bool:
    """Whether this process is one of several, started by torchrun."""
    return world.rank().processes > 1


def count(setting: int | Literal["auto"], device: str) -> int:
    """Find how many processes `runtime.devices` asks for.

    Args:
        setting: `runtime.devices`; "auto": one per GPU, and one on a CPU or on MPS.
        device: `runtime.device`; with a number, such as cuda:1, it stands for one GPU.

    Returns:
        Their number, >= 1.

    Raises:
        UserError: for more GPUs than there are, for several processes on MPS, and as `devices.choose` does.
    """
    chosen = devices.choose(device)
    if chosen.type == "mps" and setting not in (1, "auto"):
        raise UserError(f"runtime.devices {setting}: MPS is one device; set it to 1, or runtime.device to cpu")
    if chosen.type != "cuda":
        return 1 if setting == "auto" else setting
    available = 1 if chosen.index is not None else torch.cuda.device_count()
    if setting != "auto" and setting > available:
        raise UserError(
            f"runtime.devices {setting}: this machine has {available} usable GPUs; set it to auto, or "
            "runtime.device to cpu"
        )
    return available if setting == "auto" else setting


def launch(ranks: int, arguments: list[str]) -> None:
    """Run `blindsr ARGUMENTS` in several processes of this machine, and wait for them.

    Args:
        ranks: Number of processes.
        arguments: Of the command line, such as ["train", "srresnet", "rff", "0"].

    Raises:
        SystemExit: with the status of the first process that failed and has said why; with 128 + signal where a
            signal stopped all.
        UserError: if a process was killed.
    """
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "120")  # seconds for the last step and its checkpoint
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in logging.root.manager.loggerDict:
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # a rank has said in one line what went wrong
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="127.0.0.1",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-c", "from blindsr.cli import main; main()", *arguments)
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            raise SystemExit(failure.exitcode) from None
        raise UserError(
            f"rank {rank} was killed by signal {-failure.exitcode} (9: memory?): the same command resumes from the "
            "last checkpoint"
        ) from None


@contextmanager
def join(device: str) -> Iterator[World]:
    """Join the processes that torchrun's environment names, for as long as the block runs; without them, work alone.

    Args:
        device: `runtime.device`. Each of several processes on GPUs takes the GPU of its local rank.

    Yields:
        The world, as this process sees it.

    Raises:
        UserError: if the machine has fewer GPUs than ranks, if `device` is one device and there are several
            processes, or if another rank is lost: said by the first rank of each machine.
        SystemExit: on a machine's other ranks if a rank is lost.
    """
    if not launched():
        yield World(devices.choose(device))
        return
    rank, chosen = world.rank(), devices.choose(device)
    if chosen.type == "mps":
        raise UserError("MPS is one device, and these are several processes: set runtime.device to cpu")
    if chosen.type == "cuda":
        if chosen.index is not None:
            raise UserError(f"runtime.device {device} names one GPU, and these are several processes: set it to auto")
        chosen = devices.choose(f"cuda:{rank.local}")
        torch.cuda.set_device(chosen)
    store = _gather(rank)
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, None, _PATIENCE, rank.processes, rank.number, store)
        yield World(chosen, dist.get_rank(), dist.get_world_size())
        dist.barrier()
        dist.destroy_process_group()
    except RuntimeError as error:
        if not _lost(error):
            raise
        if rank.local > 0:
            raise SystemExit(2) from None  # one line per machine
        raise UserError(
            f"rank {rank.number} has lost another rank, whose own message says why: the same command resumes "
            "from the last checkpoint"
        ) from None


def _gather(rank: Rank) -> dist.Store:
    """What the processes find each other by, once all of them are there."""
    others = f"{rank.processes - 1} more of the {rank.processes} processes that WORLD_SIZE names"
    alone = f"to work alone, put `{world.UNSET}` before the command"
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise UserError(f"WORLD_SIZE is {rank.processes}, but {' and '.join(missing)} is not set: {alone}")
    say = threading.Timer(
        _SILENCE, lambda: print(f"rank {rank.number} waits for {others}", file=sys.stderr, flush=True)
    )
    say.daemon = True
    say.start()
    try:
        store, *_ = next(dist.rendezvous("env://", timeout=_GATHERING))
        store = dist.PrefixStore("blindsr", store)
        store.set(f"here/{rank.number}", "")
        store.wait([f"here/{number}" for number in range(rank.processes)], _GATHERING)
        store.set_timeout(_PATIENCE)
    except (RuntimeError, ValueError) as error:
        said = f"rank {rank.number} has not met {others} in {_GATHERING.seconds} s ({one_line(error)})"
        raise UserError(f"{said}: start all of them, or {alone}") from None
    finally:
        say.cancel()
    return store


def _lost(error: RuntimeError) -> bool:
    # gloo has no exception of its own
    return isinstance(error, dist.DistError) or any(
        sign in str(error).lower() for sign in ("gloo", "connection closed by peer", "connection reset", "timed out")
    )
