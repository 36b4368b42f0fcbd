"""Is a difference of scores real, or surely small? Intervals, tests and effect sizes of a method minus its baseline.

Scores are arrays (seeds, images, K): K comparisons that share images and runs, such as the cases of one network.
Images are the same for both, so differences are paired by image. Seeds are independent training runs: those of the
method are not paired with those of the baseline. A claim about a method is one about its training, so tests are over
seeds, with the images nested in them: a hundred images of one training run are no evidence about the next run.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 10_000
Array = NDArray[np.float64]


class Difference(NamedTuple):
    """Method minus baseline of K comparisons; every field has shape (K,)."""

    mean: Array
    """Mean over images and seeds (and groups, which count alike), in the unit of the scores."""
    low: Array
    """Lower end of the confidence interval; NaN where a group has one image."""
    high: Array
    """Upper end."""
    p: Array
    """Two-sided, that the mean is 0; not corrected. NaN where a side has one training run, or a group one image."""
    p_equivalent: Array
    """That the mean is not within ± the margin (two one-sided tests, the larger p); NaN likewise."""
    rank_biserial: Array
    """Matched-pairs rank-biserial correlation, in [-1, 1]."""
    cohens_d: Array
    """Cohen's d_z: mean over standard deviation of the per-image differences."""


def compare(
    method: ArrayLike,
    baseline: ArrayLike,
    *,
    groups: Sequence[int] | None = None,
    untrained: bool = False,
    margin: float = 0.05,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Difference:
    """All of `Difference` for scores; the same input gives the same output.

    Interval and p-values are of one estimate of the mean and its error (`bootstrap_interval`), so they agree: 0 lies
    outside the 95 % interval where p < 0.05. Effect sizes are over the images of the networks at hand.

    Args:
        method: Scores (seeds, images, K).
        baseline: Likewise, of the same images.
        groups: Numbers of images of the benchmarks that are pooled, in order: each benchmark counts alike in mean,
            interval and tests, whatever its size. None: one group.
        untrained: One side is no training run, as an interpolation is: one "seed" of it is all that there is.
        margin: Largest difference that counts as none, > 0, in the unit of the scores.
        confidence: Confidence level of the interval, in (0, 1).
        resamples: Number of bootstrap resamples.

    Returns:
        Method minus baseline of each of the K comparisons.

    Raises:
        ValueError: for shapes that do not fit, values that are not finite, or a confidence or margin out of range.
    """
    a, b, sizes = _checked(method, baseline, groups)
    if not margin > 0:
        raise ValueError(f"margin must be above 0, not {margin!r}")
    estimate = _estimate(a, b, sizes, resamples)
    low, high = _interval(estimate, confidence)
    below, zero, above = (_above(estimate, value) for value in (-margin, 0.0, margin))
    p, p_equivalent = 2 * np.minimum(zero, 1 - zero), np.maximum(below, 1 - above)
    if 1 in (len(a), len(b)) and not (untrained and max(len(a), len(b)) > 1):
        p, p_equivalent = np.full_like(p, np.nan), np.full_like(p, np.nan)
    pairs = a.mean(0) - b.mean(0)
    return Difference(estimate.mean, low, high, p, p_equivalent, rank_biserial(pairs), cohens_d(pairs))


def bootstrap_interval(
    method: ArrayLike,
    baseline: ArrayLike,
    *,
    groups: Sequence[int] | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[Array, Array]:
    """Bootstrap confidence interval of the mean difference, method minus baseline.

    Three sources of chance are resampled with replacement, each on its own: images (within their benchmark; the
    difference of an image is that of the means over seeds), seeds of the method, and seeds of the baseline. A side
    with one seed adds nothing: the interval then says what other images would do, and is silent about another
    training run. Of the spread between seeds, the part that the limited number of images explains is taken out,
    since resampling the images has it already.

    Percentiles of so few images or seeds are too narrow, and per-image gains are skewed: a few images gain a lot. So
    of the resampled means only the standard deviation and the skewness are used, after scaling deviations by
    √(m / (m - 1)), since resampling m values has (m - 1) / m of their variance. The interval is that of Student's t
    with Satterthwaite's degrees of freedom under Hall's transformation, which takes the skewness out of the t
    statistic (Hall, "On the removal of skewness by transformation", 1992).

    Coverage of the 95 % interval over 2000 draws or more of 5, 14 and 100 images: 94 to 97 % for normal gains with 1,
    3 or 5 seeds, whatever the seeds' share of the variance; 92 to 97 % with 2 seeds; one seed and skewness 1: 93.5 to
    95 %; skewness 2: 92 % with 5 images, 93 % with 8, 94 % from 14 on. No interval of 5 images is to be trusted if a
    few images decide: of gains of barely trained networks on BSD100 (skewness to 3.5) it was 82 to 88 % with 5
    images, 86 to 92 % with 25, 92 to 96 % with 100.

    Args:
        method: Scores (seeds, images, K).
        baseline: Likewise, of the same images.
        groups: As for `compare`.
        confidence: Confidence level, in (0, 1).
        resamples: Number of bootstrap resamples.

    Returns:
        Lower and upper ends, each (K,); NaN where a group has one image.

    Raises:
        ValueError: for shapes that do not fit, values that are not finite, or a confidence out of range.
    """
    return _interval(_estimate(*_checked(method, baseline, groups), resamples), confidence)


def rank_biserial(differences: ArrayLike) -> Array:
    """Matched-pairs rank-biserial correlation, (W⁺ - W⁻) / (W⁺ + W⁻) of the rank sums of gains (W⁺) and losses (W⁻).

    Args:
        differences: Differences (images, K); zeros are dropped.

    Returns:
        Correlations (K,), in [-1, 1]: 1 if every image gains, 0 without any change.
    """
    values = np.asarray(differences, dtype=np.float64)
    result = np.zeros(values.shape[1])
    for number, column in enumerate(values.T):
        changed = column[column != 0]
        if changed.size:
            ranks = stats.rankdata(np.abs(changed))
            result[number] = (ranks * np.sign(changed)).sum() / ranks.sum()
    return result


def cohens_d(differences: ArrayLike) -> Array:
    """Cohen's d_z: mean over standard deviation of differences.

    Args:
        differences: Differences (images, K).

    Returns:
        Effect sizes (K,); NaN for one image, or differences that are all equal.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return np.full(values.shape[1], np.nan)
    deviation, mean = values.std(axis=0, ddof=1), values.mean(0)
    differs = deviation > 1e-9 * np.abs(mean)  # more than rounding
    return np.divide(mean, deviation, out=np.full_like(deviation, np.nan), where=differs)


def holm(p: ArrayLike) -> Array:
    """Holm's step-down correction of a family of p-values.

    Rejecting where the result is below α keeps the chance of one or more false positives in the family below α.

    Args:
        p: The family, of any shape; NaN stays and does not count.

    Returns:
        Corrected p-values, at most 1, of the same shape.
    """
    values = np.asarray(p, dtype=np.float64)
    flat = values.ravel()
    known = np.flatnonzero(~np.isnan(flat))
    order = known[np.argsort(flat[known], kind="stable")]
    steps = flat[order] * np.arange(len(order), 0, -1)
    result = np.full_like(flat, np.nan)
    result[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else steps
    return result.reshape(values.shape)


def significant_sign(p: ArrayLike, low: ArrayLike, high: ArrayLike, alpha: float = 0.05) -> NDArray[np.int64]:
    """Where a difference is surely above or below 0: p below alpha, and 0 outside the interval.

    Args:
        p: Corrected p-values.
        low: Lower ends of the intervals, of the same shape.
        high: Upper ends.
        alpha: Level of significance.

    Returns:
        1 (above), -1 (below) or else 0, of the same shape; NaN is never sure.
    """
    small = np.asarray(p, dtype=np.float64) < alpha
    return np.select([small & (np.asarray(low) > 0), small & (np.asarray(high) < 0)], [1, -1], 0)


class Components(NamedTuple):
    """Where the error of one mean difference comes from, in squared units of the scores."""

    images: float
    """Squared standard error that the images at hand bring."""
    freedom: float
    """Its degrees of freedom."""
    method: float
    """Variance between training runs of the method."""
    baseline: float
    """Likewise of the baseline."""


def components(method: ArrayLike, baseline: ArrayLike, *, groups: Sequence[int] | None = None) -> Components:
    """Components of the error of a difference, as `bootstrap_interval` has them.

    Args:
        method: Scores (seeds, images, 1), of two seeds or more.
        baseline: Likewise, of the same images.
        groups: Numbers of images of the benchmarks that are pooled; they count alike.

    Returns:
        Variances, in squared units of the scores, and degrees of freedom.

    Raises:
        ValueError: for shapes that do not fit, one seed, or one image in a group.
    """
    a, b, sizes = _checked(method, baseline, groups)
    if min(len(a), len(b), *sizes) < 2 or a.shape[2] != 1:
        raise ValueError(f"expected two seeds and images or more, and one comparison, got {a.shape} and {b.shape}")
    parts = [
        part.var(axis=0, ddof=1).item() / len(part) / len(sizes) ** 2 for part in _split(a.mean(0) - b.mean(0), sizes)
    ]
    spread = sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    freedom = sum(parts) ** 2 / spread if spread else float(sum(sizes) - len(sizes))
    seeds = [float((_seed_effects(side, sizes) ** 2).sum() / (len(side) - 1)) for side in (a, b)]
    return Components(sum(parts), freedom, *seeds)


class _Estimate(NamedTuple):
    """A mean difference, its standard error, the skewness of its distribution, and its degrees of freedom, (K,)."""

    mean: Array
    error: Array
    skewness: Array
    degrees: Array


def _estimate(a: Array, b: Array, sizes: list[int], resamples: int) -> _Estimate:
    pairs = a.mean(0) - b.mean(0)
    count = a.shape[2]
    draws, variance, spread = np.zeros((resamples, count)), np.zeros(count), np.zeros(count)
    mean = np.zeros(count)

    def add(source: int, deviations: Array, share: float) -> None:
        """Resample the mean of one source of chance, deviations (m, K) from its mean."""
        nonlocal draws, variance, spread
        m = len(deviations)
        draws += _weights(source, m, resamples) @ (deviations * (share * np.sqrt(m / (m - 1))))
        own = share**2 * (deviations**2).sum(0) / (m * (m - 1))
        variance += own
        spread += own**2 / (m - 1)

    for number, part in enumerate(_split(pairs, sizes)):
        mean += part.mean(0) / len(sizes)
        if min(sizes) > 1:
            add(2 + number, part - part.mean(0), 1 / len(sizes))
    if min(sizes) < 2:
        return _Estimate(mean, *[np.full(count, np.nan)] * 3)
    for number, side in enumerate((a, b)):
        if len(side) > 1:
            add(number, _seed_effects(side, sizes), 1)
    degrees = np.divide(variance**2, spread, out=np.full(count, np.inf), where=spread > 0)
    error = draws.std(axis=0)
    skewness = np.divide((draws**3).mean(0), error**3, out=np.zeros(count), where=error > 0)
    return _Estimate(mean, error, skewness, degrees)


def _interval(of: _Estimate, confidence: float) -> tuple[Array, Array]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence!r}")
    quantile = stats.t.ppf((1 + confidence) / 2, of.degrees)
    low, high = (of.mean - of.error * _unskewed(sign * quantile, of.skewness) for sign in (1, -1))
    return low, high


def _above(of: _Estimate, value: float) -> Array:
    """One-sided p-values (K,) of a mean that is not above the value."""
    exact = np.where(of.mean > value, 0.0, np.where(of.mean < value, 1.0, 0.5))
    varies = of.error != 0
    t = np.divide(of.mean - value, of.error, out=np.zeros_like(of.mean), where=varies)
    made = stats.t.sf(t + of.skewness * (t**2 / 3 + 1 / 6) + of.skewness**2 * t**3 / 27, of.degrees)
    found: Array = np.where(varies, made, exact)
    return found


def _unskewed(quantile: Array, skewness: Array) -> Array:
    """Hall's transformation backwards: the t statistic of a mean with that skewness at a quantile of Student's t."""
    cubic = np.abs(skewness) > 1e-6
    safe = np.where(cubic, skewness, 1.0)
    return np.where(cubic, 3 / safe * (np.cbrt(1 + safe * (quantile - safe / 6)) - 1), quantile)


# the comparisons of a report share them, and drawing takes longer than all the rest: the paper's grid has 11 kinds
# with one seed and 13 with several, 80 MB
@functools.lru_cache(maxsize=16)
def _weights(source: int, count: int, resamples: int) -> Array:
    """How much each of `count` items counts in each resample, (resamples, count); sources are independent."""
    drawn = np.random.default_rng([source, count]).multinomial(count, np.full(count, 1 / count), size=resamples)
    weights = drawn / count
    weights.flags.writeable = False
    return weights


def _seed_effects(scores: Array, sizes: list[int]) -> Array:
    """Deviation of each seed's mean from the mean of all (seeds, K), without what the few images explain of it.

    The means of seeds differ even if every seed is equally good, since a seed does better on some images than on
    others. An analysis of variance with two factors tells the two apart.
    """
    count = len(scores)
    means, noise = np.zeros((count, scores.shape[2])), np.zeros(scores.shape[2])
    for part in _split(scores, sizes, axis=1):
        own = part.mean(1)
        residual = part - own[:, None] - part.mean(0) + own.mean(0)
        images = part.shape[1]
        noise += (residual**2).sum((0, 1)) / ((count - 1) * (images - 1) * images * len(sizes) ** 2)
        means += own / len(sizes)
    deviations = means - means.mean(0)
    between = (deviations**2).sum(0) / (count - 1)
    return deviations * np.sqrt(np.clip(1 - np.divide(noise, between, where=between > 0, out=noise * 0), 0, None))


def _split(values: Array, sizes: list[int], axis: int = 0) -> list[Array]:
    return np.split(values, np.cumsum(sizes)[:-1], axis=axis)


def _checked(method: ArrayLike, baseline: ArrayLike, groups: Sequence[int] | None) -> tuple[Array, Array, list[int]]:
    a, b = np.asarray(method, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if a.ndim != 3 or b.ndim != 3 or a.shape[1:] != b.shape[1:] or not a.size or not b.size:
        raise ValueError(f"expected scores (seeds, images, K) of the same images, got {a.shape} and {b.shape}")
    sizes = [a.shape[1]] if groups is None else list(groups)
    if sum(sizes) != a.shape[1] or min(sizes) < 1:
        raise ValueError(f"groups {sizes} do not add up to {a.shape[1]} images")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("scores hold NaN or infinite values")
    return a, b, sizes
