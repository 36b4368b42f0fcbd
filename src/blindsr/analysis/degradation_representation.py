"""Do deep features tell degradations apart, or contents? (Fig. 8 of the paper; Liu et al., "Discovering Distinctive
Semantics in Super-Resolution Networks", 2021: deep degradation representations.)

Features are arrays (degradations, contents, D): the same contents under every degradation.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]
Label = Literal["degradation", "content"]
LABELS: tuple[Label, ...] = ("degradation", "content")
_PLANE_SEED = 0


class Separation(NamedTuple):
    """Calinski-Harabasz index of points by one of their labels: higher where clusters are tight and far apart."""

    chi: float
    low: float
    """Lower end of the 95 % interval over other contents."""
    high: float
    """Upper end."""


def principal_components(features: ArrayLike) -> Array:
    """Coordinates of all N points in the basis of their principal components.

    No component is left out, so distances, and with them `separation`, are those of the features themselves; take
    the first few for a plane. Computed from the N×N matrix of inner products, which is small where D is in the
    hundred thousands. A component's sign is such that its largest coordinate is positive.

    Args:
        features: Features (degradations, contents, D), finite; N = degradations · contents.

    Returns:
        Coordinates (degradations, contents, N - 1), float64, components by falling variance.

    Raises:
        ValueError: for another shape, a single point, or values that are not finite.
    """
    values = np.asarray(features)
    if values.ndim != 3 or values.shape[0] * values.shape[1] < 2:
        raise ValueError(f"expected features (degradations, contents, D) of 2 points or more, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("features hold NaN or infinite values")
    points = values.reshape(-1, values.shape[2])
    centred = points - points.mean(0)
    variances, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    scores = vectors[:, :0:-1] * np.sqrt(np.clip(variances[:0:-1], 0, None))
    largest = np.take_along_axis(scores, np.abs(scores).argmax(0)[None], axis=0)
    return (scores * np.where(largest < 0, -1, 1)).reshape(*values.shape[:2], -1)


def plane(components: Array, perplexity: float = 30.0, dimensions: int = 50) -> Array:
    """t-SNE (scikit-learn) of the first principal components.

    One thread and a fixed seed: the same components give the same plane.

    Args:
        components: Coordinates (degradations, contents, K) from `principal_components`.
        perplexity: Perplexity of t-SNE; lowered to (N - 1) / 3 for N points where that is less.
        dimensions: Number of components that t-SNE gets.

    Returns:
        Points (degradations, contents, 2), float64. Fewer than 4 points, or a single component, are not moved at all.
    """
    from sklearn.manifold import TSNE  # costs more than a second
    from threadpoolctl import threadpool_limits

    points = components.reshape(-1, components.shape[2])[:, :dimensions]
    if len(points) < 4 or points.shape[1] < 2:
        return np.pad(points, ((0, 0), (0, 2)))[:, :2].reshape(*components.shape[:2], 2)
    embedding = TSNE(
        perplexity=min(perplexity, (len(points) - 1) / 3), init="pca", random_state=_PLANE_SEED, n_jobs=1
    )
    with threadpool_limits(1):
        result: Array = embedding.fit_transform(points).astype(np.float64)
    return result.reshape(*components.shape[:2], 2)


def separation(points: ArrayLike, label: Label, resamples: int = 2000) -> Separation:
    """Calinski-Harabasz index of points by one of their labels, with a bootstrap interval.

    The index is the variance between clusters over the variance within, each by its degrees of freedom; about 1
    where the label says nothing. Lower by degradation: the features care less about what was done to the image.

    Contents are resampled, each with all its degradations, for percentiles of the logarithm of the index. Resampled
    clusters lie further apart than real ones, so the percentiles are moved to have their mean at the estimate, and
    widened for few contents by Student's t. On planted clusters of 12 to 60 contents the interval held the index of
    the population in 91 to 99 of 100 draws. A t-SNE plane is taken as it is: t-SNE is not run again.

    Args:
        points: Points (degradations, contents, D).
        label: Label that defines the clusters.
        resamples: Number of bootstrap resamples.

    Returns:
        The index and its interval; both ends are NaN where the index is 0 or not finite.

    Raises:
        ValueError: for fewer than 2 degradations or contents.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 3 or min(values.shape[:2]) < 2:
        raise ValueError(f"expected points of 2 degradations and 2 contents or more, got shape {values.shape}")
    count = values.shape[1]
    values = values - values.mean((0, 1))
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)
    chi = float(_index(values, label, np.ones((1, count)))[0])
    drawn = _index(values, label, weights.astype(np.float64))
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    if not np.isfinite(chi) or chi <= 0 or not len(drawn):
        return Separation(chi, float("nan"), float("nan"))
    logarithms = np.log(drawn)
    widened = stats.t.ppf(0.975, count - 1) / stats.norm.ppf(0.975) * np.sqrt(count / (count - 1))
    low, high = np.exp(widened * (np.quantile(logarithms, [0.025, 0.975]) - logarithms.mean()))
    return Separation(chi, float(chi * low), float(chi * high))


def _index(values: Array, label: Label, weights: Array) -> Array:
    """Calinski-Harabasz index (R,) with each content counted as often as `weights` (R, contents) say."""
    kinds, contents = values.shape[:2]
    squares = weights @ (values**2).sum((0, 2))  # about zero, the mean of all points
    centre = np.einsum("rc,dcf->rf", weights, values) / (kinds * contents)
    total = squares - kinds * contents * (centre**2).sum(1)
    if label == "degradation":
        clusters = kinds
        means = np.einsum("rc,dcf->rdf", weights, values) / contents
        between = contents * (means**2).sum((1, 2)) - kinds * contents * (centre**2).sum(1)
    else:
        clusters = contents
        between = kinds * (weights @ (values.mean(0) ** 2).sum(1)) - kinds * contents * (centre**2).sum(1)
    within = np.clip(total - between, 0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((between / (clusters - 1)) / (within / (kinds * contents - clusters)))
