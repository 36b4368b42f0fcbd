"""Processes that share work: order, errors, kills."""

import multiprocessing
import os
import signal
import sys

import pytest

from blindsr.runtime import parallel
from blindsr.runtime.errors import UserError

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")


def square(number: int, offset: int = 0) -> int:
    return number * number + offset


def refuse_from_3(number: int) -> int:
    if number >= 3:
        raise UserError(f"no {number}: fix it")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order(workers: int) -> None:
    with parallel.in_order(square, range(50), range(50), workers=workers) as results:
        assert list(results) == [number * number + number for number in range(50)]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_first_error_in_order_is_the_one_that_is_raised(workers: int) -> None:
    seen = []
    with (
        pytest.raises(UserError, match="^no 3: fix it$"),
        parallel.in_order(refuse_from_3, range(20), workers=workers) as results,
    ):
        seen.extend(results)
    # list.extend keeps what came before the error
    assert seen == [0, 1, 2]
    assert multiprocessing.active_children() == []


def test_leaving_early_drops_the_rest() -> None:
    with parallel.in_order(square, range(10_000), workers=2) as results:
        assert next(results) == 0
    assert multiprocessing.active_children() == []


@linux_only
def test_a_killed_process_is_one_line() -> None:
    with (
        pytest.raises(UserError, match="one of 2 processes was killed, probably for memory: .* fewer cores"),
        parallel.in_order(die, range(4), workers=2) as results,
    ):
        list(results)


def test_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= parallel.usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_process_that_may_use_one_core_counts_one() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert parallel.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
