"""Work in threads, results in order."""

import threading

import pytest

from blindsr.runtime import parallel


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads):
    gates = [threading.Event() for _ in range(threads)]

    def work(number):
        # of the first ones the last begun is the first to end
        if number < threads:
            if number + 1 < threads:
                gates[number + 1].wait(10)
            gates[number].set()
        return number * number

    assert list(parallel.map_ordered(work, range(20), threads)) == [n * n for n in range(20)]


def test_at_most_as_many_items_as_threads_are_taken_ahead():
    taken = []

    def items():
        for number in range(10):
            taken.append(number)
            yield number

    results = parallel.map_ordered(lambda n: n, items(), threads=2)
    assert next(results) == 0
    assert len(taken) <= 3
    assert list(results) == list(range(1, 10))


def test_the_first_error_in_order_is_raised_and_what_was_not_begun_is_dropped():
    begun = []

    def work(number):
        begun.append(number)
        if number in (2, 3):
            raise RuntimeError(f"at {number}")
        return number

    results = parallel.map_ordered(work, range(100), threads=1)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(RuntimeError, match="at 2"):
        next(results)
    assert len(begun) < 6


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="threads"):
        list(parallel.map_ordered(abs, [1], threads=0))


def test_there_is_a_core():
    assert parallel.usable_cores() >= 1
