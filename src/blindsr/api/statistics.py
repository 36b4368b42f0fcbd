"""Is a gain real? One column of a table of scores minus another, with its interval over images and seeds."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from blindsr.reporting import statistics
from blindsr.runtime.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


class Gain(NamedTuple):
    """A mean difference, in the unit of the scores."""

    mean: float
    """Over images and seeds; groups count alike."""
    low: float
    """Lower end of the confidence interval; NaN where a group has one image."""
    high: float
    """Upper end."""
    p: float
    """Two-sided, over training runs, that the mean is 0; NaN with one seed: images are no evidence about training."""
    p_equivalent: float
    """That the mean is not within ± the margin; NaN likewise."""
    cohens_d: float
    """Mean over standard deviation of the images' differences."""
    images: int
    """Number of images, over all groups."""
    seeds: int
    """Number of training runs of each side."""

    def __str__(self) -> str:
        tested = f", p = {self.p:.2g}" if math.isfinite(self.p) else ""
        images = "1 image" if self.images == 1 else f"{self.images} images"
        counts = f"{images}, {self.seeds} seed{'s' if self.seeds > 1 else ''}"
        known = math.isfinite(self.low) and math.isfinite(self.high)
        interval = f"[{self.low:+.3f}, {self.high:+.3f}]" if known else "without an interval: too few images"
        return f"{self.mean:+.3f} {interval}{tested} ({counts})"


def paired_gain(
    frame: "pd.DataFrame",
    method: str,
    baseline: str,
    *,
    image: str = "image",
    seed: str | None = None,
    group: str | None = None,
    untrained: bool = False,
    margin: float = 0.05,
    confidence: float = 0.95,
) -> Gain:
    """One column of scores minus another: both of the same images, a row for each image (and seed, and case).

    Rows that are alike in image, seed and group, such as the cases of an image, are averaged first. Images are
    paired; seeds are training runs, and those of the two columns are not. `blindsr.reporting.statistics` says how the
    interval is made, and how well it holds.

    Args:
        frame: pandas DataFrame with the columns that are named.
        method: Column of scores.
        baseline: Column of the scores that it is compared with.
        image: Column of the images' names.
        seed: Column of the training runs' numbers; None: one run.
        group: Column of the benchmarks, which then count alike, whatever their size; None: one.
        untrained: The baseline is no training run (an interpolation): its seeds, all alike, count as one.
        margin: Largest difference that counts as none, > 0, in the unit of the scores.
        confidence: Of the interval, in (0, 1).

    Returns:
        The gain; the same input gives the same output.

    Raises:
        UserError: for a column that is not there, scores that are not finite, or an image that some seed lacks.
        ValueError: for a margin or confidence out of range.

    Example:
        >>> import blindsr, pandas as pd
        >>> scores = pd.DataFrame({
        ...     "image": ["baby", "bird", "butterfly", "head", "woman"] * 2, "seed": [0] * 5 + [1] * 5,
        ...     "mine": [30.1, 28.4, 22.9, 29.5, 26.1, 30.3, 28.6, 23.0, 29.7, 26.4],
        ...     "none": [29.8, 28.1, 22.7, 29.3, 25.7, 29.9, 28.2, 22.7, 29.3, 25.9]})
        >>> gain = blindsr.paired_gain(scores, "mine", "none", seed="seed")
        >>> round(gain.mean, 2), gain.low < gain.mean < gain.high, gain.images, gain.seeds
        (0.34, True, 5, 2)
    """
    columns = [name for name in (group, image, seed) if name is not None]
    lacking = [name for name in (*columns, method, baseline) if name not in frame]
    if lacking:
        raise UserError(f"the table has no column {lacking[0]!r}: it has {', '.join(map(str, frame.columns))}")
    if not len(frame):
        raise UserError("the table has no rows: nothing can be compared")
    scores = frame[[*columns, method, baseline]]
    for name in (method, baseline):
        if scores[name].dtype.kind not in "fiub":
            raise UserError(f"column {name!r} holds no numbers: give scores, such as PSNR in dB")
    bad = int((~np.isfinite(scores[[method, baseline]].to_numpy(np.float64))).any(axis=1).sum())
    if bad:
        raise UserError(
            f"{bad} of {len(frame)} rows lack a finite score: drop these images from all seeds, or score again"
        )
    sides = []
    for name in (method, baseline):
        table = scores.pivot_table(
            name, seed or np.zeros(len(scores)), [*([group] if group else []), image], aggfunc="mean"
        )
        if table.isna().to_numpy().any():
            place = table.columns[table.isna().any()][0]
            raise UserError(f"image {place} has no score of every seed: score it, or drop it from all seeds")
        sides.append(table)
    a, b = (side.to_numpy(np.float64)[:, :, None] for side in sides)
    if untrained:
        b = b.mean(0, keepdims=True)
    groups = sides[0].columns.get_level_values(0).value_counts(sort=False).tolist() if group else None
    made = statistics.compare(a, b, groups=groups, untrained=untrained, margin=margin, confidence=confidence)
    values = (made.mean, made.low, made.high, made.p, made.p_equivalent, made.cohens_d)
    mean, low, high, p, p_equivalent, cohens_d = (float(value[0]) for value in values)
    return Gain(mean, low, high, p, p_equivalent, cohens_d, images=a.shape[1], seeds=a.shape[0])
