"""Settings of a degradation: what is taken, what is refused in which words, and how is drawn."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from blindsr.plugins.degradations.operators import ranges


def test_what_is_taken() -> None:
    assert ranges.number("a", "2e-4") == 2e-4  # as PyYAML reads it
    assert ranges.probability("a", 1) == 1.0
    assert ranges.interval("a", [0, 3]) == (0.0, 3.0)
    assert ranges.whole("a", [2, 25.0], 0, 255) == (2, 25)
    assert ranges.kernel_sizes("a", [7, 21]) == (7, 21)
    assert ranges.kernel_sizes("a", [9, 9]) == (9, 9)
    assert ranges.around_one("a", [1, 1]) == (1.0, 1.0)
    assert ranges.distribution("a", {"y": 1}, ("x", "y")) == {"x": 0.0, "y": 1.0}
    assert list(ranges.distribution("a", {"y": 0.5, "x": 0.5}, ("x", "y"))) == ["x", "y"]
    assert ranges.known("a", None, ("x",)) == {}
    assert ranges.known("a", {"x": [1]}, ("x", "y")) == {"x": [1]}


@pytest.mark.parametrize(
    ("check", "value", "says"),
    [
        (ranges.number, True, "a must be a number, not True"),
        (ranges.number, None, "a must be a number, not None"),
        (ranges.number, "much", "a must be a number, not 'much'"),
        (ranges.number, float("nan"), "a must be 0 or more, not nan"),
        (ranges.number, float("inf"), "a must be 0 or more, not inf"),
        (ranges.probability, 1.5, "a must be in [0, 1], not 1.5"),
        (ranges.interval, [1, 2, 3], "a must be [smallest, largest], not [1, 2, 3]"),
        (ranges.interval, "12", "a must be [smallest, largest], not '12'"),
        (ranges.interval, 4, "a must be [smallest, largest], not 4"),
        (ranges.interval, [2, 1], "a must be [smallest, largest], not [2, 1]"),
        (ranges.positive, [0, 1], "a must be greater than 0, not [0, 1]"),
        (ranges.around_one, [2, 3], "a must contain 1 (draws fall below it and above), not [2, 3]"),
        (ranges.kernel_sizes, [7, 20], "a must be [smallest, largest] odd sizes, not [7, 20]"),
        (ranges.kernel_sizes, [9, 7], "a must be [smallest, largest] odd sizes, not [9, 7]"),
        (ranges.kernel_sizes, [7.5, 9], "a must be [smallest, largest] odd sizes, not [7.5, 9]"),
        (lambda name, value: ranges.whole(name, value, 0, 9), [0.5, 2], "a must be whole numbers, not [0.5, 2]"),
        (lambda name, value: ranges.whole(name, value, 0, 9), [0, 10], "a must be in [0, 9], not 10"),
        (
            lambda name, value: ranges.known(name, value, ("x", "y")),
            {"z": 1},
            "a has no setting 'z': choose from x, y",
        ),
        (lambda name, value: ranges.known(name, value, ("x",)), 3, "a must be a block of settings, not 3"),
        (
            lambda name, value: ranges.distribution(name, value, ("x", "y")),
            {"z": 1},
            "a must give probabilities to some of x, y, not {'z': 1}",
        ),
        (lambda name, value: ranges.distribution(name, value, ("x",)), {"x": 0.5}, "must add up to 1, not 0.5"),
        (lambda name, value: ranges.distribution(name, value, ("x",)), {"x": 2}, "a.x must be in [0, 1], not 2"),
    ],
)
def test_what_is_refused(check: Any, value: object, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        check("a", value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_draws_are_uniform_within_their_bounds_and_plain_numbers() -> None:
    generator = np.random.default_rng(0)
    reals = [ranges.draw_uniform((2.0, 5.0), generator) for _ in range(2000)]
    assert stats.kstest(reals, stats.uniform(2, 3).cdf).pvalue > 1e-3
    sizes = [ranges.draw_kernel_size((7, 13), generator) for _ in range(2000)]
    assert stats.chisquare([sizes.count(size) for size in (7, 9, 11, 13)]).pvalue > 1e-3
    assert set(sizes) == {7, 9, 11, 13}
    numbers = [ranges.draw_whole((2, 4), generator) for _ in range(2000)]
    assert stats.chisquare([numbers.count(number) for number in (2, 3, 4)]).pvalue > 1e-3
    letters = [ranges.draw_choice("abc", generator, (0.5, 0.0, 0.5)) for _ in range(2000)]
    assert set(letters) == {"a", "c"}
    assert stats.binomtest(letters.count("a"), 2000).pvalue > 1e-3
    assert {type(value) for value in (*reals, *numbers)} == {float}
    assert {type(size) for size in sizes} == {int}
