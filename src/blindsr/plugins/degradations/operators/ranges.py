"""Ranges and probabilities of a degradation: checked as the settings give them, and drawn from.

The checks return the value as plain numbers and raise ValueError with one line that begins with the setting's name.
A draw takes one number of the generator, whatever the bounds are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from blindsr.plugins.degradations.operators.blur import GRID

Choice = TypeVar("Choice")
Bounds = tuple[float, float]


def number(name: str, value: Any, least: float = 0.0, most: float = float("inf")) -> float:
    """A number in [least, most]; text such as "2e-4", as YAML reads it, counts as the number that it spells."""
    try:
        if isinstance(value, bool):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    if not least <= found <= most or found == float("inf"):
        within = f"in [{least:g}, {most:g}]" if most < float("inf") else f"{least:g} or more"
        raise ValueError(f"{name} must be {within}, not {found:g}")
    return found


def probability(name: str, value: Any) -> float:
    """A number in [0, 1]."""
    return number(name, value, 0.0, 1.0)


def interval(name: str, value: Any, least: float = 0.0, most: float = float("inf")) -> Bounds:
    """[smallest, largest], both in [least, most]."""
    low, high = (number(name, bound, least, most) for bound in _pair(name, value))
    if low > high:
        raise ValueError(f"{name} must be [smallest, largest], not [{low:g}, {high:g}]")
    return low, high


def whole(name: str, value: Any, least: float, most: float) -> tuple[int, int]:
    """[smallest, largest], both whole numbers in [least, most]."""
    low, high = interval(name, value, least, most)
    if low % 1 or high % 1:
        raise ValueError(f"{name} must be whole numbers, not [{low:g}, {high:g}]")
    return int(low), int(high)


def positive(name: str, value: Any, least: float = 0.0, most: float = float("inf")) -> Bounds:
    """[smallest, largest], both above 0 and within [least, most]."""
    low, high = interval(name, value)
    if low == 0:
        raise ValueError(f"{name} must be greater than 0, not [{low:g}, {high:g}]")
    return interval(name, value, least, most)


def around_one(name: str, value: Any, least: float = 0.0, most: float = float("inf")) -> Bounds:
    """[smallest, largest], both above 0 and within [least, most], and 1 between them: draws are from either side."""
    low, high = positive(name, value, least, most)
    if not low <= 1 <= high:
        raise ValueError(f"{name} must contain 1 (draws fall below it and above), not [{low:g}, {high:g}]")
    return low, high


def kernel_sizes(name: str, value: Any) -> tuple[int, int]:
    """[smallest, largest], both odd and at most 21 px."""
    low, high = (number(name, size, 1, GRID) for size in _pair(name, value))
    if low % 2 != 1 or high % 2 != 1 or low > high:
        raise ValueError(f"{name} must be [smallest, largest] odd sizes, not [{low:g}, {high:g}]")
    return int(low), int(high)


def distribution(name: str, value: Any, options: Sequence[str]) -> dict[str, float]:
    """A probability for each of some options.

    Args:
        name: Of the setting, for the message.
        value: Mapping from options to probabilities.
        options: All that there are.

    Returns:
        A probability for each of `options`, in their order; those that are not named have 0.

    Raises:
        ValueError: for another option, a value outside of [0, 1], or a sum that is not 1 (to 1e-6).
    """
    if not isinstance(value, Mapping) or not set(value) <= set(options):
        raise ValueError(f"{name} must give probabilities to some of {', '.join(options)}, not {value!r}")
    found = {option: probability(f"{name}.{option}", value.get(option, 0.0)) for option in options}
    total = sum(found.values())
    if abs(total - 1) > 1e-6:
        raise ValueError(f"{name}: probabilities must add up to 1, not {total:g}")
    return found


def known(name: str, value: Any, keys: Sequence[str]) -> dict[str, Any]:
    """A mapping whose keys are all among `keys`; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a block of settings, not {value!r}")
    unknown = [str(key) for key in value if key not in keys]
    if unknown:
        raise ValueError(f"{name} has no setting {unknown[0]!r}: choose from {', '.join(keys)}")
    return dict(value)


def draw_uniform(bounds: Bounds, generator: np.random.Generator) -> float:
    """A real number, uniform between the bounds."""
    return bounds[0] + (bounds[1] - bounds[0]) * float(generator.random())


def draw_whole(bounds: tuple[int, int], generator: np.random.Generator) -> float:
    """A whole number, each from the smallest to the largest as likely as the others."""
    return float(generator.integers(bounds[0], bounds[1] + 1))


def draw_kernel_size(sizes: tuple[int, int], generator: np.random.Generator) -> int:
    """An odd size, each as likely as the others."""
    return sizes[0] + 2 * int(generator.integers((sizes[1] - sizes[0]) // 2 + 1))


def draw_choice(
    options: Sequence[Choice], generator: np.random.Generator, weights: Sequence[float] | None = None
) -> Choice:
    """One of the options, each as likely as its weight says; all alike without weights, which add up to 1."""
    return options[int(generator.choice(len(options), p=weights))]


def _pair(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(f"{name} must be [smallest, largest], not {value!r}")
    return value
