"""The scores of all models of one scale, as means, ranks and worst cases."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blindsr.acquisition.folder import HrFolder
from blindsr.apps.leaderboard import ranking
from blindsr.apps.leaderboard.ranking import Ranking
from blindsr.apps.leaderboard.scoring import Candidate
from blindsr.config.run import BICUBIC
from blindsr.evaluation.scoring import Key, Score
from blindsr.plugins.metrics.base import Metric

Array = NDArray[np.float64]
ALL = "all"
"""What the mean of all sets is called, each of which counts alike."""


class Standing(NamedTuple):
    """One model on one set, or on all."""

    candidate: Candidate
    first: int
    """Best rank that it may have."""
    last: int
    """Worst rank that it may have."""
    cases: dict[str, dict[str, float]]
    """Metric -> case -> mean over the images; NaN where there is none."""
    means: dict[str, float]
    """Metric -> mean over the cases."""
    worst: str
    """Case with the worst score."""
    least: str
    """Case in which it gains least over bicubic, or loses most; empty without bicubic, and for itself."""
    gain: float
    """That gain, in the unit of the score; NaN likewise."""


class Board(NamedTuple):
    """What a leaderboard says of one scale."""

    scale: int
    images: dict[str, int]
    """Set -> number of images that are ranked."""
    standings: dict[str, list[Standing]]
    """Set, or `ALL` -> models from the best mean to the worst."""
    ranking: Ranking
    """Over all sets, of the models in the order of `standings[ALL]`."""
    incomplete: list[tuple[Candidate, int, int]]
    """Models without a rank, how many scores they have, and how many were wanted."""
    exact: list[str]
    """Images that a model restores exactly (infinite PSNR), which are left out for all."""
    broken: list[str]
    """Images that no model has scores of."""


def build(
    scored: Sequence[tuple[Candidate, Mapping[Key, Score]]],
    sources: Sequence[HrFolder],
    cases: Sequence[str],
    metrics: Sequence[Metric],
    by: Metric,
) -> Board | None:
    """Compare models on the images that can be scored at all.

    Args:
        scored: Models of one scale with their scores.
        sources: Sets, in order.
        cases: In order.
        metrics: Shown.
        by: What models are ranked by; one of `metrics`, which says which direction is better.

    Returns:
        The board; None where no model has all scores of an image.
    """
    whole = {id(candidate): _whole(rows, sources, cases, by) for candidate, rows in scored}
    seen = set().union(*whole.values()) if whole else set()
    named = [(source.name, image) for source in sources for image in source.files]
    ranked = [(candidate, rows) for candidate, rows in scored if seen and whole[id(candidate)] == seen]
    incomplete = [
        (candidate, len(rows), len(named) * len(cases)) for candidate, rows in scored if whole[id(candidate)] != seen
    ]
    exact = {image for image in seen for _, rows in ranked if _is_exact(rows, image, cases)}
    images = [image for image in named if image in seen - exact]
    if not ranked or not images:
        return None
    values = [_arrays(rows, images, cases, metrics) for _, rows in ranked]
    candidates = [candidate for candidate, _ in ranked]
    sets = [source.name for source in sources if any(name == source.name for name, _ in images)]
    index = {name: [number for number, image in enumerate(images) if image[0] == name] for name in sets}
    overall = _ranked(values, list(index.values()), by)
    order = overall.order
    standings = {ALL: _standings(candidates, values, list(index.values()), overall, cases, by)}
    for name, own in index.items():
        standings[name] = _standings(candidates, values, [own], _ranked(values, [own], by), cases, by)
    return Board(
        candidates[0].scale,
        {name: len(own) for name, own in index.items()},
        standings,
        _reordered(overall, order),
        incomplete,
        ["/".join(image) for image in named if image in exact],
        ["/".join(image) for image in named if image not in seen],
    )


def _whole(
    rows: Mapping[Key, Score], sources: Sequence[HrFolder], cases: Sequence[str], by: Metric
) -> set[tuple[str, str]]:
    """Images with a score in every case."""
    return {
        (source.name, image)
        for source in sources
        for image in source.files
        if all(_value(rows, Key(source.name, case, image), by.name) is not None for case in cases)
    }


def _value(rows: Mapping[Key, Score], key: Key, metric: str) -> float | None:
    value = rows[key].values.get(metric, math.nan) if key in rows else math.nan
    return None if math.isnan(value) else value


def _is_exact(rows: Mapping[Key, Score], image: tuple[str, str], cases: Sequence[str]) -> bool:
    keys = [Key(image[0], case, image[1]) for case in cases]
    return any(math.isinf(value) for key in keys for value in rows[key].values.values())


def _arrays(
    rows: Mapping[Key, Score], images: Sequence[tuple[str, str]], cases: Sequence[str], metrics: Sequence[Metric]
) -> dict[str, Array]:
    """Metric -> (images, cases)."""
    keys = [[Key(name, case, image) for case in cases] for name, image in images]
    return {
        metric.name: np.array([[rows[key].values.get(metric.name, math.nan) for key in row] for row in keys])
        for metric in metrics
    }


def _ranked(values: Sequence[Mapping[str, Array]], parts: Sequence[list[int]], by: Metric) -> Ranking:
    images = [number for part in parts for number in part]
    means = [each[by.name][images].mean(axis=1) for each in values]
    return ranking.rank(means, [len(part) for part in parts], higher_is_better=by.higher_is_better is not False)


def _standings(
    candidates: Sequence[Candidate],
    values: Sequence[Mapping[str, Array]],
    parts: Sequence[list[int]],
    ranks: Ranking,
    cases: Sequence[str],
    by: Metric,
) -> list[Standing]:
    means = [{name: _mean(array, parts) for name, array in each.items()} for each in values]
    base = next((own[by.name] for own, c in zip(means, candidates, strict=True) if c.entry.model == BICUBIC), None)
    found = []
    for number in ranks.order:
        candidate, own = candidates[number], means[number]
        if candidate.entry.model == BICUBIC and "detail_cosine" in own:  # of rounding errors alone
            own = own | {"detail_cosine": np.full(len(cases), np.nan)}
        scores = ranks.sign * own[by.name]
        gains = None if base is None or candidate.entry.model == BICUBIC else scores - ranks.sign * base
        found.append(
            Standing(
                candidate,
                ranks.first[number],
                ranks.last[number],
                {name: dict(zip(cases, map(float, row), strict=True)) for name, row in own.items()},
                {name: float(row.mean()) for name, row in own.items()},
                cases[int(scores.argmin())],
                "" if gains is None else cases[int(gains.argmin())],
                math.nan if gains is None else float(ranks.sign * gains.min()),
            )
        )
    return found


def _mean(array: Array, parts: Sequence[list[int]]) -> Array:
    """(images, cases) -> (cases,): mean over the images of each set that have the score, then over the sets."""
    known = ~np.isnan(array)
    sums = np.array([np.where(known, array, 0)[part].sum(0) for part in parts])
    counts = np.array([known[part].sum(0) for part in parts])
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0).mean(0)


def _reordered(ranks: Ranking, order: Sequence[int]) -> Ranking:
    square = np.ix_(order, order)
    return Ranking(
        ranks.means[list(order)],
        [ranks.first[number] for number in order],
        [ranks.last[number] for number in order],
        ranks.difference[square],
        ranks.low[square],
        ranks.high[square],
        ranks.above[square],
        ranks.sign,
    )
