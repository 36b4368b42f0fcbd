"""One training step: loss, gradient, Adam, moving average; run by Python, or replayed by a GPU.

A small network's step is hundreds of operations of a few microseconds each, and Python launches them more slowly than
a GPU runs them. So after a few steps they are recorded once, as a CUDA graph, and from then on launched as one. The
recording reads its batch, its random numbers and its learning rate from tensors that are filled before each replay.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from blindsr.model.network import Network
from blindsr.plugins.regularizers.base import Share, Step, Tensors, upload
from blindsr.training import guard
from blindsr.training.distributed import World
from blindsr.training.ema import Ema
from blindsr.training.guard import Guard
from blindsr.training.objective import Terms, diagnose
from blindsr.training.samples import Batch

_WARM_UP = 3  # steps before the recording: cuDNN and Adam allocate what they keep


class Stepper:
    """Makes one step after the other on the same network; `sums` adds up the loss terms on the device."""

    def __init__(
        self,
        objective: nn.Module,
        network: Network,
        optimizer: torch.optim.Optimizer,
        ema: Ema,
        sums: Tensor,
        *,
        weight: Tensor | float,
        world: World,
        replay: bool,
    ) -> None:
        """Nothing is computed yet.

        Args:
            objective: An `Objective` of `network`, or what averages its gradients over several processes.
            network: Trained in place, with its optimizer (fused Adam) and moving average.
            sums: Float64 on the network's device: each step's losses, in order, and its penalty are added.
            weight: That of the penalty.
            world: The processes that train together.
            replay: Record the step and replay it, on one CUDA device, if the regularizer allows it.
        """
        self.watch = Guard(optimizer, world.device)
        self._objective, self._network, self._optimizer, self._ema = objective, network, optimizer, ema
        self._sums, self._weight, self._world = sums, weight, world
        self._share = Share(world.rank, world.ranks, world.gather)
        alone_on_gpu = world.device.type == "cuda" and world.ranks == 1
        self._replay = replay and alone_on_gpu and network.regularizer.replayable
        self._steps = 0
        self._draws = _Draws()
        self._recording: _Recording | None = None
        if world.device.type == "cuda":
            for group in optimizer.param_groups:  # a tensor: a recording reads its value at each replay
                group["lr"] = torch.tensor(float(group["lr"]), device=world.device)

    def __call__(
        self,
        batch: Batch,
        learning_rate: float,
        progress: float,
        degradations: Callable[[], Sequence[Any]] = tuple,
        *,
        look: bool = False,
    ) -> dict[str, float]:
        """One step.

        Args:
            batch: On the device.
            learning_rate: Of this step.
            progress: Share of the training that is behind it.
            degradations: As in `Step`.
            look: Also return what `diagnose` says of two views. Waits for the device, and is never a replay.

        Returns:
            The diagnosis, or an empty dictionary.
        """
        self._set_rate(learning_rate)
        self._steps += 1
        if self._replay and not look and self._steps > _WARM_UP:
            if self._recording is None:
                self._recording = _Recording(batch, self._network.views, self._share, self._draws, self._compute)
            self._recording.replay(batch)
            self.watch.count()
            return {}
        draw = self._draws.notice if self._replay and self._steps == _WARM_UP else upload
        step = Step(batch.lr, batch.hr, self._network.views, progress, self._share, draw, degradations)
        diagnosis = self._compute(step, look=look)
        self.watch.count()
        return diagnosis

    def _compute(self, step: Step, *, look: bool = False) -> dict[str, float]:
        terms: Terms = self._objective(step)
        diagnosis = {}
        if look and step.views == 2 and terms.features is not None:
            diagnosis = diagnose(terms, self._weight, self._world)
        self._optimizer.zero_grad(set_to_none=True)
        guard.backward(terms.loss)
        self.watch.watch(self._objective)
        self._optimizer.step()
        self._ema.update(self._network.backbone)
        self._sums += torch.stack([term.detach() for term in (*terms.parts.values(), terms.penalty)])
        return diagnosis

    def _set_rate(self, learning_rate: float) -> None:
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate


class _Draws:
    """The random tensors of a step, where a recording finds them.

    They are allocated before it: what is allocated in a recording may lie where an earlier operation of the same
    replay still writes.
    """

    def __init__(self) -> None:
        self._buffers: list[Tensors] = []
        self._makers: list[Callable[[], Tensors]] = []

    def notice(self, make: Callable[[], Tensors], like: Tensor) -> Tensors:
        """As `upload`, in the last step before the recording: keep as much memory as was drawn."""
        drawn = upload(make, like)
        self._buffers.append(tuple(torch.empty_like(tensor) for tensor in drawn))
        return drawn

    def record(self, make: Callable[[], Tensors], like: Tensor) -> Tensors:
        """In the recording: the next of the buffers; what is in them is drawn before each replay."""
        self._makers.append(make)
        return self._buffers[len(self._makers) - 1]

    def renew(self) -> None:
        """Draw all anew, in their order; the host waits for nothing."""
        for make, buffers in zip(self._makers, self._buffers, strict=True):
            for buffer, drawn in zip(buffers, upload(make, buffers[0]), strict=True):
                buffer.copy_(drawn, non_blocking=True)


class _Recording:
    """A step as a CUDA graph, with the tensors that it reads."""

    def __init__(
        self, batch: Batch, views: int, share: Share, draws: _Draws, compute: Callable[[Step], object]
    ) -> None:
        """Records `compute` on a batch of these shapes. Nothing of it is executed."""
        self._lr, self._hr = (tensor.clone(memory_format=torch.preserve_format) for tensor in batch)
        self._draws = draws
        self._graph = torch.cuda.CUDAGraph()
        step = Step(self._lr, self._hr, views, share=share, draw=draws.record)
        torch.cuda.synchronize()
        # other threads pin the memory of the next batches meanwhile, which the default mode would forbid them
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            compute(step)

    def replay(self, batch: Batch) -> None:
        """Launch the recorded step on another batch; the host waits for nothing."""
        self._lr.copy_(batch.lr, non_blocking=True)
        self._hr.copy_(batch.hr, non_blocking=True)
        self._draws.renew()
        self._graph.replay()
