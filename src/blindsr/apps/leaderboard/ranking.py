"""Which model is above which: from paired differences over images, and only where they are certain."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blindsr.reporting import statistics

Array = NDArray[np.float64]


class Ranking(NamedTuple):
    """Of n models, in the order in which they were given."""

    means: Array
    """(n,): benchmarks count alike."""
    first: list[int]
    """Best rank that a model may have: one behind all that are certainly above it."""
    last: list[int]
    """Worst rank that it may have: one before all that are certainly below it."""
    difference: Array
    """(n, n): row minus column."""
    low: Array
    """(n, n): lower end of its 95 % interval; NaN where a benchmark has one image."""
    high: Array
    """(n, n): upper end."""
    above: NDArray[np.int64]
    """(n, n): 1 where the row is certainly better than the column, -1 where worse, 0 where it is open."""

    @property
    def order(self) -> list[int]:
        """Models from the best mean to the worst; those of equal means in the order in which they were given."""
        better = self.means if self.sign > 0 else -self.means
        return sorted(range(len(self.means)), key=lambda model: -better[model])

    sign: int = 1
    """1 where more is better, else -1."""


def rank(values: Sequence[Array], sizes: Sequence[int], *, higher_is_better: bool) -> Ranking:
    """Rank models by one score.

    Args:
        values: Of each model, one number per image (images,); the images are the same for all.
        sizes: Numbers of images of the benchmarks, in order.
        higher_is_better: Of the score.

    Returns:
        Means, ranks and differences. One model is above another where the 95 % interval of their paired difference
        over the images excludes 0; each pair is judged by itself.

    Raises:
        ValueError: for numbers that are not finite, or shapes that do not fit.
    """
    count, sign = len(values), 1 if higher_is_better else -1
    pairs = [(one, other) for one in range(count) for other in range(one + 1, count)]
    difference, low, high = (np.zeros((count, count)) for _ in range(3))
    if pairs:
        sides = (np.stack([values[pair[side]] for pair in pairs], axis=1)[None] for side in (0, 1))
        made = statistics.compare(*sides, groups=sizes)
        for number, (one, other) in enumerate(pairs):
            ends = float(made.low[number]), float(made.high[number])
            difference[one, other], difference[other, one] = made.mean[number], -made.mean[number]
            low[one, other], high[one, other] = ends
            low[other, one], high[other, one] = -ends[1], -ends[0]
    above = np.select([low > 0, high < 0], [sign, -sign], 0)
    first = [1 + int((row < 0).sum()) for row in above]
    last = [count - int((row > 0).sum()) for row in above]
    parts = np.cumsum(sizes)[:-1]
    means = np.array([np.mean([part.mean() for part in np.split(each, parts)]) for each in values])
    return Ranking(means, first, last, difference, low, high, above, sign)
