"""Batches on their way to the network: made in worker processes, copied to the device one batch ahead."""

import contextlib
import time
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader

from blindsr import devices
from blindsr.training import interruption
from blindsr.training.samples import Batch, Batches


class Loader:
    """Iterates over the batches of iterations `start` to `stop` on the device; `waited` is the time lost on them."""

    def __init__(self, batches: Batches, start: int, stop: int, workers: int, device: torch.device) -> None:
        """`workers` processes with one thread each make the batches; 0: this process does."""
        self.waited = 0.0
        """Seconds since the beginning in which the network had to wait for a batch."""
        self._count, self._device = stop - start, device
        self._batches: DataLoader[Batch] = DataLoader(
            batches,
            batch_size=None,
            sampler=range(start, stop),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=device.type == "cuda",
            worker_init_fn=_start_worker,
        )

    def __iter__(self) -> Iterator[Batch]:
        source = iter(self._batches)
        if self._device.type == "cpu":
            for _ in range(self._count):
                yield self._next(source)
            return
        side = torch.cuda.Stream(self._device)
        ahead = self._copy(source, side) if self._count else None
        for left in range(self._count - 1, -1, -1):
            assert ahead is not None
            batch = ahead
            main = torch.cuda.current_stream(self._device)
            main.wait_stream(side)
            for tensor in batch:
                tensor.record_stream(main)  # its memory is not reused while the network still reads it
            yield batch
            if left:  # the step is under way on the device: the next batch is copied beside it
                ahead = self._copy(source, side)

    def _copy(self, source: Iterator[Batch], side: torch.cuda.Stream) -> Batch:
        batch = self._next(source)
        with torch.cuda.stream(side):
            lr, hr = (tensor.to(self._device, non_blocking=True) for tensor in batch)
            return Batch(lr.contiguous(memory_format=torch.channels_last), hr)

    def _next(self, source: Iterator[Batch]) -> Batch:
        began = time.perf_counter()
        with devices.threads(1) if not self._batches.num_workers else contextlib.nullcontext():
            # as in a worker process: the number of workers changes no bit
            batch = next(source)
        self.waited += time.perf_counter() - began
        return batch


def _start_worker(worker: int) -> None:
    interruption.ignore()
    devices.keep_freed_memory()
    torch.set_num_threads(1)
