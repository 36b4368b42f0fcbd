"""What a difference of PSNR is made of: detail that is more right, or merely more or less of it.

PSNR = PSNR(B) + f(c, g) with f(c, g) = -10 log10(1 - 2gc + g²), for the bicubic upsampling B and the cosine c and
amplitude g of what a network adds to it (`plugins.metrics`: detail_cosine, detail_amplitude). Between two networks
both change. Changing c first and g second, or the other way round, gives two accounts of the difference; each part
here is the mean of its two values, so that the parts add up to the difference exactly and swap signs with it
(the Shapley value of two players).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEEDED = ("detail_cosine", "detail_amplitude")
"""Metrics that a split is computed of."""
Array = NDArray[np.float64]


class Split(NamedTuple):
    """Differences in dB, method minus baseline, and their two parts; all of one shape."""

    total: Array
    direction: Array
    """Of the cosine: a network that adds more of what is right gains here. Turning its detail up or down does not."""
    amplitude: Array
    """Of how much is added: one that adds less of what is wrong gains here."""


def gain_db(cosine: ArrayLike, amplitude: ArrayLike) -> Array:
    """f(c, g): dB over the bicubic upsampling.

    Args:
        cosine: c in [-1, 1].
        amplitude: g >= 0; where it is 0, c does not count and may be NaN.

    Returns:
        The gain; infinite where c = g = 1.
    """
    c, g = np.asarray(cosine, dtype=np.float64), np.asarray(amplitude, dtype=np.float64)
    left = 1 - 2 * g * np.where(g == 0, 0.0, c) + g**2
    with np.errstate(divide="ignore"):
        gain: Array = -10 * np.log10(np.maximum(left, 0.0))
    return gain


def split(cosine: ArrayLike, amplitude: ArrayLike, base_cosine: ArrayLike, base_amplitude: ArrayLike) -> Split:
    """Split the difference between a method and its baseline on the same images.

    Args:
        cosine: c of the method, any shape.
        amplitude: g of the method.
        base_cosine: c of the baseline; shapes are broadcast.
        base_amplitude: g of the baseline.

    Returns:
        The difference and its parts. What a side adds that adds nothing (g = 0) counts as unrelated, c = 0, as the
        rounding errors of an upsampling are.
    """
    c, g, c0, g0 = np.broadcast_arrays(cosine, amplitude, base_cosine, base_amplitude)
    c, c0 = np.where(g == 0, 0.0, c), np.where(g0 == 0, 0.0, c0)
    after, before = gain_db(c, g), gain_db(c0, g0)
    turned, scaled = gain_db(c, g0), gain_db(c0, g)  # the baseline with one thing of the method's
    direction = ((turned - before) + (after - scaled)) / 2
    amplitude_part = ((scaled - before) + (after - turned)) / 2
    return Split(after - before, direction, amplitude_part)


def sides(part: Array) -> tuple[Array, Array]:
    """A part of all pairs of runs as two sides, as `statistics.compare` takes them.

    Seeds of a method and of its baseline are not paired, and a part is no difference of two numbers: it is computed
    of every pair, and the sides are what each run contributes.

    Args:
        part: (S, T, images, K), of seed s of the method and seed t of the baseline.

    Returns:
        Arrays (S, images, K) and (T, images, K), whose means differ by the mean over all pairs.
    """
    mean = part.mean((0, 1))
    return part.mean(1), mean - part.mean(0)
