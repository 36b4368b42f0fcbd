"""Processes that make items ahead: order, errors, kills, memory, and nothing left of them."""

import errno
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from blindsr.runtime import workers
from blindsr.runtime.errors import UserError
from blindsr.runtime.workers import Unmade, Workers

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")


def ignore() -> None:
    """As the workers of a training do, since a SIGTERM may be meant for its parent."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def made(
    make: Callable[[int], Any], items: range, count: int = 2, *, ahead: int = 2, room: int = 4096, start: Any = ignore
) -> Workers:
    return Workers(make, items, count, ahead=ahead, room=room, start=start, receive=lambda item: np.array(item))


def squares(number: int) -> np.ndarray:
    return np.full((4, 8), number * number)


def nothing_is_left() -> bool:
    return multiprocessing.active_children() == []


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("room", [4096, 1], ids=["room", "no room"])
@pytest.mark.parametrize("items", [range(3, 20), range(2), range(0)])
def test_items_come_in_order_and_whole(count: int, room: int, items: range) -> None:
    with made(squares, items, count, room=room) as results:
        assert [item.tolist() for item in results] == [squares(number).tolist() for number in items]
    assert nothing_is_left()


def test_no_more_is_made_ahead_than_asked_for() -> None:
    """An item is where the next one will be made only after it was taken over."""
    with made(squares, range(1000), 2, ahead=3) as results:
        taken = [next(results) for _ in range(100)]
    assert [int(item[0, 0]) for item in taken] == [number * number for number in range(100)]


@linux_only
def test_a_killed_worker_is_an_error_at_once() -> None:
    def die(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    taken = []
    says = "one of the 2 processes that make batches was killed by SIGKILL; for want of memory"
    with pytest.raises(UserError, match=says), made(die, range(100)) as results:
        taken.extend(map(int, results))
    assert taken == [0, 1, 2]
    assert nothing_is_left()


@linux_only
def test_a_worker_that_ends_by_itself_is_an_error_too() -> None:
    with pytest.raises(UserError, match="has ended with status 7"), made(lambda number: os._exit(7), range(9)) as it:
        next(it)
    assert nothing_is_left()


@linux_only
def test_a_worker_that_hangs_and_ignores_sigterm_ends_with_its_work() -> None:
    """`next` waits for none that is not asked for, and leaving waits for none at all."""

    def hang(number: int) -> int:
        if number:
            signal.pause()
        return number

    with made(hang, range(9)) as results:
        assert int(next(results)) == 0
    assert nothing_is_left()


class Odd(Exception):
    """Cannot be made from its message, as exceptions of some libraries."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"odd {one + two}")


@linux_only
@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (OverflowError("math\nrange error"), Unmade, "OverflowError: math range error"),
        (Odd(1, 2), Unmade, "Odd: odd 3"),
        (ValueError(), Unmade, "ValueError"),
        (OSError(errno.EMFILE, "Too many open files"), Unmade, "OSError: [Errno 24] Too many open files"),
        (
            UserError("x cannot be written: File too large: raise it"),
            UserError,
            "x cannot be written: File too large",
        ),
        (MemoryError("8 GiB"), MemoryError, "MemoryError: 8 GiB"),
    ],
)
@pytest.mark.parametrize("count", [0, 2])
def test_an_error_is_one_line_with_its_item(error: Exception, kind: type, says: str, count: int) -> None:
    def fail(number: int) -> int:
        if number == 5:
            raise error
        return number

    if count:
        with pytest.raises(kind) as caught, made(fail, range(9), count) as results:
            list(results)
    else:
        with pytest.raises(kind) as caught:
            [workers.attempt(fail, number) for number in range(9)]
    assert str(caught.value).startswith(says)
    if isinstance(caught.value, Unmade):
        assert caught.value.item == 5
        assert "in fail" in caught.value.trace
    assert nothing_is_left()


@linux_only
def test_something_that_cannot_be_sent_is_an_error() -> None:
    with pytest.raises(Unmade, match="pickle"), made(lambda number: threading.Lock(), range(9)) as results:
        next(results)


@linux_only
@pytest.mark.parametrize("count", [1, 40])
def test_too_few_open_files_are_known_at_the_start(count: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + (1 if count == 1 else 30), before[1]))
    try:
        with pytest.raises(
            UserError, match=rf"{count} processes that make batches cannot be started \(Too many open"
        ):
            made(squares, range(9), count)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert nothing_is_left()


@linux_only
def test_workers_end_with_a_parent_that_is_killed() -> None:
    """The pipe stays open as long as a worker, or what it would have started, is alive."""
    reading, writing = os.pipe()

    def work() -> None:
        os.close(reading)

        def tell(number: int) -> int:
            os.write(writing, f"{os.getpid()}\n".encode())
            return signal.pause() or number

        with made(tell, range(9)) as results:
            next(results)

    parent = multiprocessing.get_context("fork").Process(target=work)
    parent.start()
    os.close(writing)
    said = b""
    while said.count(b"\n") < 2:
        said += os.read(reading, 100)
    parent.kill()
    parent.join()
    assert os.read(reading, 100) == b""
    os.close(reading)


@linux_only
def test_a_program_that_never_leaves_the_block_ends() -> None:
    def work() -> None:
        kept = made(lambda number: signal.pause(), range(9))
        kept.__enter__()
        globals()["kept"] = kept

    parent = multiprocessing.get_context("fork").Process(target=work)
    parent.start()
    parent.join(30)
    assert parent.exitcode == 0
