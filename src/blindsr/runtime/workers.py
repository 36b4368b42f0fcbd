"""Processes that make one item after the other, ahead of the one who needs them.

Whatever happens to one of them is an error at once, and none of them outlives its work. Each has its own pipe, so
that a killed one leaves no lock behind. Arrays come through memory that is shared before the first item is made, and
that is no part of /dev/shm, which containers keep small.
"""

import contextlib
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from blindsr.runtime import devices, lifetime
from blindsr.runtime.errors import UserError

_PATIENCE = 2.0  # seconds for a process that was killed to be gone; one that the system cannot end is left


class Unmade(Exception):
    """An item that could not be made: `item` is its number, `said` the error in one line, `trace` all of it."""

    def __init__(self, item: int, said: str, trace: str = "") -> None:
        """See the class."""
        super().__init__(said)
        self.item, self.said, self.trace = item, said, trace


class _Failure(NamedTuple):
    said: str
    trace: str
    error: UserError | MemoryError | None

    @classmethod
    def of(cls, error: Exception) -> "_Failure":
        """What crosses to another process; an exception of any library might not."""
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(": ")
        own: UserError | MemoryError | None = UserError(str(error)) if isinstance(error, UserError) else None
        if devices.out_of_memory(error):
            own = MemoryError(said)
        return cls(said, "".join(traceback.format_exception(error)), own)

    def raise_it(self, item: int) -> None:
        """In the process that waits for the item."""
        raise self.error or Unmade(item, self.said, self.trace)


def attempt(make: Callable[[int], Any], item: int) -> Any:
    """Make an item in this process, with the errors that it has in another one.

    Args:
        make: Makes an item.
        item: Its number.

    Returns:
        What `make` returned.

    Raises:
        Unmade: for any error but a UserError or a MemoryError, which stay what they are.
    """
    try:
        return make(item)
    except Exception as error:
        failure = _Failure.of(error)
    return failure.raise_it(item)


class Workers:
    """`with Workers(…) as items:` then `next(items)` is the next of them; leaving the block ends all processes."""

    def __init__(
        self,
        make: Callable[[int], Any],
        items: Sequence[int],
        count: int,
        *,
        ahead: int,
        room: int,
        start: Callable[[], object],
        receive: Callable[[Any], Any],
    ) -> None:
        """Start the processes.

        Args:
            make: Makes an item, given its number; what it returns can be pickled.
            items: Their numbers, in the order in which they are wanted.
            count: How many processes.
            ahead: Items that each of them makes before the first is taken.
            room: Bytes of an item's arrays. More than that come too, but more slowly.
            start: Called in each process first.
            receive: Takes over an item, in a thread of this process, so that nothing of it is where it came from:
                its memory will hold the next one.

        Raises:
            UserError: where the system has not the processes, files or memory for them.
        """
        self._items, self._ahead, self._receive = items, ahead, receive
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._slots: list[mmap.mmap] = []
        self._thread = ThreadPoolExecutor(1)
        forks = sys.platform == "linux"
        # a new interpreter would import torch first; elsewhere than on Linux forks are not safe, and share nothing
        context = multiprocessing.get_context("fork" if forks else None)
        # also at the end of a program that never left the block
        self._end = util.Finalize(self, _end, (self._pipes, self._processes), exitpriority=100)
        try:
            for _ in range(count):
                slot = mmap.mmap(-1, max(1, room) * ahead) if forks else None
                self._slots += [slot] if slot else []
                mine, theirs = context.Pipe()
                self._pipes.append(mine)
                others = self._pipes if forks else []
                work = (make, start, theirs, others, slot, room if forks else 0, ahead, os.getpid())
                process = context.Process(target=_serve, args=work, daemon=True)
                process.start()
                theirs.close()
                self._processes.append(process)
        except OSError as error:
            self.close()
            raise UserError(
                f"{count} processes that make batches cannot be started ({error.strerror}): lower runtime.workers, "
                "or raise the limit of processes, files or memory (ulimit -u, -n, -v)"
            ) from None

    def __enter__(self) -> Iterator[Any]:
        return self._results()

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        self._end()
        self._thread.shutdown(cancel_futures=True)

    def _results(self) -> Iterator[Any]:
        """In their order: item k of all is made by process k modulo their number."""
        items, count = self._items, len(self._pipes)
        for number in range(min(len(items), count * self._ahead)):
            self._ask(number)
        coming = self._thread.submit(self._take, 0) if items else None
        for number in range(len(items)):
            assert coming is not None
            item = coming.result()
            if number + 1 < len(items):
                coming = self._thread.submit(self._take, number + 1)
            yield item

    def _ask(self, number: int) -> None:
        with contextlib.suppress(OSError):  # that it has ended shows when its answer is read
            self._pipes[number % len(self._pipes)].send((self._items[number], number // len(self._pipes)))

    def _take(self, number: int) -> Any:
        worker, turn = number % len(self._pipes), number // len(self._pipes)
        try:
            sizes, content = pickle.loads(self._pipes[worker].recv_bytes())
        except (EOFError, OSError):
            raise self._killed(worker) from None
        if isinstance(sizes, _Failure):
            sizes.raise_it(self._items[number])
        arrays: list[Any] = [bytearray(array) for array in content[1:]]  # which can be written to
        if not arrays:
            whole = memoryview(self._slots[worker])
            at = turn % self._ahead * (len(whole) // self._ahead)
            for size in sizes:
                arrays.append(whole[at : at + size])
                at += size
        item = self._receive(pickle.loads(content[0], buffers=arrays))
        if number + self._ahead * len(self._pipes) < len(self._items):
            self._ask(number + self._ahead * len(self._pipes))
        return item

    def _killed(self, worker: int) -> UserError:
        process = self._processes[worker]
        process.join(_PATIENCE)
        status = process.exitcode or 0
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"has ended with status {status}"
        memory = "; for want of memory? Lower runtime.workers" if status in (-signal.SIGKILL, -signal.SIGBUS) else ""
        return UserError(f"one of the {len(self._processes)} processes that make batches {how}{memory}")


def _end(pipes: list[Connection], processes: list[BaseProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join(_PATIENCE)
    for pipe in pipes:
        pipe.close()


def _serve(
    make: Callable[[int], Any],
    start: Callable[[], object],
    pipe: Connection,
    others: list[Connection],
    slot: mmap.mmap | None,
    room: int,
    ahead: int,
    parent: int,
) -> None:
    """In a worker process: make what is asked for, until the parent has ended."""
    for other in others:  # else the pipe of another worker would stay open without the parent
        other.close()
    lifetime.end_with_parent(parent)
    start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            item, turn = pipe.recv()
            try:
                answer = _packed(make(item), slot, room, turn % ahead * room)
            except Exception as error:
                answer = pickle.dumps((_Failure.of(error), []))
            pipe.send_bytes(answer)


def _packed(made: Any, slot: mmap.mmap | None, room: int, at: int) -> bytes:
    """An item for the pipe: its arrays are in the slot, or, where that is too small, behind it."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(made, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    sizes = [array.nbytes for array in arrays]
    if slot is None or sum(sizes) > room:
        return pickle.dumps((sizes, [content, *map(bytes, arrays)]))
    for array, size in zip(arrays, sizes, strict=True):
        slot[at : at + size] = array
        at += size
    return pickle.dumps((sizes, [content]))
