"""Settings of regularizers, checked as they are given: each returns the value, or raises ValueError in one line."""

import math
from typing import TypeGuard

_LEAST = 1e-12
_MOST = 2**16  # features, or px


def share(name: str, value: object, fits: str = "[0, 1]") -> float:
    """A number from 0 to 1; `fits` says which ends belong to it, such as "[0, 1)"."""
    if (
        not _number(value)
        or not 0 <= value <= 1
        or (value == 0 and fits[0] == "(")
        or (value == 1 and fits[-1] == ")")
    ):
        raise ValueError(f"{name} must be a number in {fits}, not {value!r}")
    return float(value)


def positive(name: str, value: object) -> float:
    """A finite number > 0, of a size that float32 can compute with."""
    if not _number(value) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a finite number > 0, not {value!r}")
    if not _LEAST <= value <= 1 / _LEAST:
        raise ValueError(f"{name} must be from {_LEAST:g} to {1 / _LEAST:g}, not {value!r}")
    return float(value)


def count(name: str, value: object) -> int:
    """A whole number >= 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number >= 1, not {value!r}")
    if value > _MOST:
        raise ValueError(f"{name} must be at most {_MOST}, not {value!r}")
    return value


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
