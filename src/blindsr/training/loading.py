"""Batches on their way to the network.

For a CPU, and for MPS, worker processes make them. For a GPU, which workers cannot feed, they only read and draw: the
pixels are worked on by the device itself, on a stream of its own, a few batches at once and ahead of the network.
"""

import contextlib
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import torch

from blindsr.runtime import devices, workers
from blindsr.runtime.errors import UserError
from blindsr.runtime.workers import Unmade, Workers
from blindsr.training import interruption
from blindsr.training.samples import Batch, Batches

_AHEAD = 4  # batches that a worker makes ahead
_TENSORS = ("windows", "places", "keys", "prepared")  # of Sources


class NoBatch(UserError):
    """A batch that could not be made, or a worker process that has ended; `trace` is for who wrote a plug-in."""

    def __init__(self, message: str, trace: str = "") -> None:
        """See the class."""
        super().__init__(message)
        self.trace = trace


class Loader:
    """Iterates over the batches of iterations `start` to `stop` on the device; `waited` is the time lost on them."""

    def __init__(self, batches: Batches, start: int, stop: int, workers: int, device: torch.device) -> None:
        """Nothing is read before the first batch is asked for.

        Args:
            batches: Of all iterations.
            start: First iteration, from 0.
            stop: The iteration before which it ends.
            workers: Processes that make the batches, with one thread each; 0: this process makes them.
            device: Where the batches go.
        """
        self.waited = 0.0
        """Seconds since the beginning in which the network had to wait for a batch, for the host or on the GPU."""
        self._idle: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()
        self._iterations, self._device, self._source = range(start, stop), device, batches
        self._on_host = made_on_host(device)
        together = 1 if self._on_host else batches.together
        # whole groups, wherever a run is resumed: what is in a group decides the last bits of its batches
        self._groups = range(start // together, -(-stop // together)) if start < stop else range(0)
        self._workers, self._ahead = workers, max(1, _AHEAD // together)

    def __iter__(self) -> Generator[Batch]:
        if not self._groups:
            return
        with self._items() as source:
            if self._on_host:
                for _ in self._groups:
                    yield Batch(*(tensor.to(self._device) for tensor in self._next(source)))
            else:
                yield from self._beside_the_steps(source)

    def _items(self) -> contextlib.AbstractContextManager[Iterator[Any]]:
        """Batches, or their sources, as they are made; nothing of it is left when the block ends."""
        if not self._workers:
            return contextlib.nullcontext(map(self._made_here, self._groups))
        return Workers(
            self._packed,
            self._groups,
            self._workers,
            ahead=self._ahead,
            room=self._source.item_bytes(sources=not self._on_host),
            start=_start_worker,
            receive=self._unpacked,
        )

    def _made_here(self, group: int) -> Any:
        if self._on_host:
            return workers.attempt(self._source.__getitem__, group)
        return workers.attempt(self._source.sources, group).pin_memory()

    def _packed(self, group: int) -> Any:
        """In a worker: what crosses to this process, with arrays, which need not be copied into a pipe."""
        if self._on_host:
            return [tensor.numpy() for tensor in self._source[group]]
        sources = self._source.sources(group)
        return replace(sources, **{name: getattr(sources, name).numpy() for name in _TENSORS})

    def _unpacked(self, item: Any) -> Any:
        if self._on_host:
            return Batch(*(torch.from_numpy(array).clone() for array in item))
        return replace(item, **{name: torch.from_numpy(getattr(item, name)) for name in _TENSORS}).pin_memory()

    def _beside_the_steps(self, source: Iterator[Any]) -> Iterator[Batch]:
        side = torch.cuda.Stream(self._device)
        ahead = self._make(source, side) if self._groups else []
        for group in self._groups:
            batches, ahead = ahead, []
            main = torch.cuda.current_stream(self._device)
            self._wait(main, side)
            for iteration, batch in enumerate(batches, group * self._source.together):
                if iteration not in self._iterations:
                    continue
                for tensor in batch:
                    tensor.record_stream(main)  # its memory is not reused while the network still reads it
                yield batch
            if group != self._groups[-1]:
                # the group's steps are under way on the device: the next batches are launched beside them
                ahead = self._make(source, side)

    def _make(self, source: Iterator[Any], side: torch.cuda.Stream) -> list[Batch]:
        sources = self._next(source)
        with torch.cuda.stream(side):
            made = self._source.finish(sources, self._device)
            return [Batch(lr.contiguous(memory_format=torch.channels_last), hr) for lr, hr in made]

    def _wait(self, main: torch.cuda.Stream, side: torch.cuda.Stream) -> None:
        """Let `main` wait for `side`, and add up for how long it did, which is known some steps later."""
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        main.record_event(begin)
        main.wait_stream(side)
        main.record_event(end)
        self._idle.append((begin, end))
        while self._idle and self._idle[0][1].query():
            begin, end = self._idle.popleft()
            self.waited += begin.elapsed_time(end) / 1000

    def _next(self, source: Iterator[Any]) -> Any:
        began = time.perf_counter()
        with devices.threads(1) if not self._workers else contextlib.nullcontext():
            # as in a worker process: the number of workers changes no bit
            try:
                batch = next(source)
            except Unmade as error:
                first = max(error.item * (1 if self._on_host else self._source.together), self._iterations.start)
                raise NoBatch(f"no batch could be made for iteration {first + 1} ({error})", error.trace) from None
            except UserError as error:
                raise NoBatch(str(error)) from None
        self.waited += time.perf_counter() - began
        return batch


def made_on_host(device: torch.device) -> bool:
    """Whether the batches of a device are made by the CPU: all but those of a CUDA GPU.

    So MPS, too, sees the CPU's batches, bit for bit. Whether it could make its own faster nobody has measured.
    """
    return device.type != "cuda"


def _start_worker() -> None:
    interruption.ignore()
    devices.keep_freed_memory()
    torch.set_num_threads(1)
