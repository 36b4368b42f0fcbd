"""Which differences to the baseline are real, and which surely small: intervals, corrected p-values, effect sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from blindsr.config.run import CONTROLS, Row
from blindsr.reporting import statistics, tables
from blindsr.reporting.scores import BASELINE
from blindsr.reporting.statistics import Array, Difference
from blindsr.reporting.tables import MEAN, Table
from blindsr.runtime.errors import UserError

ALPHA = 0.05
MARGIN = 0.05
"""Largest difference in dB that counts as none: about a tenth of the paper's mean gain, 0.44 dB."""
KEYS = ["benchmark", "backbone", "reg", "case"]
_ROW = KEYS[:3]
_NUMBERS = ["difference", "low", "high", "p", "p_holm", "p_equivalent", "rank_biserial", "cohens_d"]
_FORMATS = {
    "difference": "{:+.3f}",
    "low": "{:+.3f}",
    "high": "{:+.3f}",
    "p": "{:.3f}",
    "p_holm": "{:.3f}",
    "p_equivalent": "{:.3f}",
    "rank_biserial": "{:+.2f}",
    "cohens_d": "{:+.2f}",
}


def per_case(scores: pd.DataFrame, benchmarks: Sequence[str], cases: Sequence[str], metric: str) -> pd.DataFrame:
    """Every regularizer minus the baseline on each benchmark and case; the table is one family for Holm.

    Args:
        scores: Per-image scores from `scores.read`.
        benchmarks: Names of the benchmarks; one without scores keeps its rows, empty.
        cases: Test cases of each benchmark, in order.
        metric: Column of `scores`.

    Returns:
        Columns: `KEYS`, images, seeds, difference, low, high (95 % interval), p, p_holm, p_equivalent (both
        corrected), rank_biserial, cohens_d and mark ("better", "worse", "equivalent" or "").

    Raises:
        UserError: as `arrays`.
    """
    known, frames = arrays(scores, cases, metric), []
    for benchmark in benchmarks:
        for backbone, reg in compared(scores, BASELINE):
            keys = pd.DataFrame({"benchmark": benchmark, "backbone": backbone, "reg": reg, "case": list(cases)})
            both = [known.get((benchmark, backbone, name)) for name in (reg, BASELINE)]
            frames.append(keys if both[0] is None or both[1] is None else described(keys, both[0], both[1], None))
    return judged(frames)


def pooled(
    scores: pd.DataFrame,
    benchmarks: Sequence[str],
    cases: Sequence[str],
    metric: str,
    *,
    baseline: str = BASELINE,
    by_case: bool = False,
    margin: float = MARGIN,
) -> pd.DataFrame:
    """Every regularizer minus `baseline` over all benchmarks and cases: the paper's average improvement (Fig. 6).

    An image counts once, with its mean over the cases: its cases are not independent of each other. Benchmarks
    count alike.

    Args:
        scores: Per-image scores from `scores.read`.
        benchmarks: Names of the benchmarks; those without scores are left out.
        cases: Test cases over which the scores of an image are averaged.
        metric: Column of `scores`.
        baseline: Regularizer of the same backbone, or a control.
        by_case: Adds a row for each case in front of the one of their mean.
        margin: Largest difference that counts as none, in the unit of the metric.

    Returns:
        Columns as for `per_case`.

    Raises:
        UserError: as `arrays`.
    """
    known, frames = arrays(scores, cases, metric), []
    names = [*cases, MEAN] if by_case else [MEAN]
    for backbone, reg in compared(scores, baseline):
        other = baseline_row(backbone, baseline)
        keys = pd.DataFrame({"benchmark": "all", "backbone": backbone, "reg": reg, "case": names})
        both = joined(known, benchmarks, Row(backbone, reg), other)
        if both:
            first, second, sizes = both
            sides = [first, second]
            means = [side.mean(axis=2, keepdims=True) for side in sides]
            if by_case:
                means = [np.concatenate(pair, axis=2) for pair in zip(sides, means, strict=True)]
            keys = described(keys, means[0], means[1], sizes, untrained=other.is_control, margin=margin)
        frames.append(keys)
    return judged(frames)


def baseline_row(backbone: str, baseline: str) -> Row:
    """The row that those of a backbone are compared with: its own with the regularizer `baseline`, or a control."""
    return Row(baseline, baseline) if baseline in CONTROLS else Row(backbone, baseline)


def joined(
    known: Mapping[tuple[str, str, str], Array], benchmarks: Sequence[str], row: Row, other: Row
) -> tuple[Array, Array, list[int]] | None:
    """Scores of two rows on all benchmarks that have both.

    Args:
        known: As from `arrays`.
        benchmarks: In the order in which their images come.
        row: One of the rows.
        other: The other.

    Returns:
        The scores (seeds, images, columns) of each, and how many images each benchmark has; None without any.
    """
    names = [name for name in benchmarks if {(name, *row), (name, *other)} <= set(known)]
    if not names:
        return None
    first, second = (np.concatenate([known[name, *which] for name in names], axis=1) for which in (row, other))
    return first, second, [known[name, *row].shape[1] for name in names]


def write(
    rows: pd.DataFrame,
    stem: Path,
    *,
    title: str,
    seeds: int,
    notes: Sequence[str],
    baseline: str = BASELINE,
    case: str = "case",
) -> Table:
    """Write <stem>.csv with every column, and <stem>.md and <stem>.tex with what a reader needs and how to read it.

    Args:
        rows: Rows from `per_case` or `pooled`.
        stem: Path of the files, without suffix.
        title: Title of the table.
        seeds: Number of training runs of each row.
        notes: Lines below the table, after how to read it.
        baseline: Baseline of the differences, as the notes name it.
        case: Heading of that column, where it holds something else.

    Returns:
        The table as it is shown.

    Raises:
        UserError: where a file cannot be written.
    """
    text = rows.copy()
    for column, style in _FORMATS.items():
        text[column] = [tables.HOLE if pd.isna(value) else style.format(value) for value in rows[column]]
    for column in ("images", "seeds"):
        text[column] = [tables.HOLE if pd.isna(value) else f"{value:.0f}" for value in rows[column]]
    ends = zip(text["low"], text["high"], strict=True)
    shown = text.assign(interval=[tables.HOLE if low == tables.HOLE else f"[{low}, {high}]" for low, high in ends])
    shown["p_holm"] = ["<0.001" if p == "0.000" else p for p in text["p_holm"]]  # so few runs support no smaller p
    shown = shown[[*KEYS, "images", "difference", "interval", "p_holm", "rank_biserial", "cohens_d", "mark"]]
    shown = shown.rename(columns={"interval": "95 % interval", "p_holm": "p (Holm)", "case": case})
    text = text.rename(columns={"case": case})
    return tables.write_text(
        text, shown, stem, left=len(KEYS), title=title, notes=[*_how_to_read(rows, seeds, baseline), *notes]
    )


def _how_to_read(rows: pd.DataFrame, seeds: int, baseline: str) -> list[str]:
    family = int(rows["p"].notna().sum())
    said = f"Difference: mean over images and seeds of the regularizer minus `{baseline}` of the same backbone."
    if seeds == 1:
        return [
            f"{said} Interval: bootstrap over images.",
            "One seed: the intervals say what other images would do, and nothing says what another training run "
            "would do, so there is no p and no mark. Several `seeds` give both.",
        ]
    return [
        f"{said} Interval: bootstrap over images and seeds.",
        f"p: t test over the {seeds} seeds and the images nested in them, Holm-corrected for the {family} "
        f"comparisons of this table. `better`, `worse`: p below {ALPHA:g}. `equivalent`: neither, and a difference "
        f"of more than {MARGIN:g} dB to either side is refuted (two one-sided tests, corrected likewise).",
    ]


def compared(scores: pd.DataFrame, baseline: str) -> list[tuple[str, str]]:
    """Which rows have a baseline to be compared with.

    Args:
        scores: Per-image scores from `scores.read`.
        baseline: A regularizer, for rows of the same backbone; or a control, for every row that is no control itself.

    Returns:
        (backbone, regularizer) of each, in the order of the scores; none where the baseline has no scores.
    """
    pairs = list(scores[["backbone", "reg"]].drop_duplicates().itertuples(index=False, name=None))
    if baseline in CONTROLS:
        return [pair for pair in pairs if pair[0] not in CONTROLS] if (baseline, baseline) in pairs else []
    return [(backbone, reg) for backbone, reg in pairs if reg != baseline and (backbone, baseline) in pairs]


def arrays(scores: pd.DataFrame, cases: Sequence[str], metric: str) -> dict[tuple[str, str, str], Array]:
    """Scores of one metric as arrays.

    Args:
        scores: Per-image scores from `scores.read`.
        cases: Test cases, in the order of the last axis.
        metric: Column of `scores`.

    Returns:
        (benchmark, backbone, reg) -> scores (seeds, images, cases), seeds and images sorted.

    Raises:
        UserError: for gaps, and for rows of one benchmark that were scored on different images.
    """
    keys = list(scores[_ROW].drop_duplicates().itertuples(index=False, name=None))
    if not keys:
        return {}
    wide = scores.set_index([*_ROW, "seed", "image", "case"])[metric].unstack("case").reindex(columns=list(cases))
    values, places = wide.to_numpy(), wide.index.to_frame(index=False).groupby(_ROW).indices
    seeds, images = (wide.index.get_level_values(level) for level in ("seed", "image"))
    found, pictures = {}, dict[str, tuple[str, pd.Index]]()
    for key in keys:
        (benchmark, backbone, reg), own = key, places[key]
        count, names = seeds[own].nunique(), images[own].unique()
        row = f"{backbone}-{reg}"
        if len(own) != count * len(names) or np.isnan(values[own]).any():
            raise UserError(f"scores of {row} on {benchmark} lack images or cases: run `dvc repro`")
        first, others = pictures.setdefault(benchmark, (row, names))
        if not others.equals(names):
            raise UserError(f"{row} and {first} were scored on different images of {benchmark}: run `dvc repro`")
        found[key] = values[own].reshape(count, len(names), len(cases))
    return found


def described(
    keys: pd.DataFrame,
    method: Array,
    baseline: Array,
    groups: list[int] | None,
    *,
    untrained: bool = False,
    margin: float = MARGIN,
) -> pd.DataFrame:
    """Add what `statistics.compare` says to rows.

    Args:
        keys: The K rows, with the columns `KEYS`.
        method: Scores (seeds, images, K).
        baseline: Likewise, of the same images.
        groups: As for `statistics.compare`.
        untrained: Likewise.
        margin: Likewise.

    Returns:
        A copy of `keys` with the columns images, seeds (of the method), difference, low, high, p, p_equivalent (both
        not corrected), rank_biserial and cohens_d.

    Raises:
        ValueError: as `statistics.compare`.
    """
    result: Difference = statistics.compare(method, baseline, groups=groups, margin=margin, untrained=untrained)
    return keys.assign(
        images=method.shape[1],
        seeds=len(method),
        difference=result.mean,
        low=result.low,
        high=result.high,
        p=result.p,
        p_equivalent=result.p_equivalent,
        rank_biserial=result.rank_biserial,
        cohens_d=result.cohens_d,
    )


def judged(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put rows together, with Holm's correction over all of them and the mark.

    Args:
        frames: Rows from `described`, or keys alone for rows without scores.

    Returns:
        Columns as for `per_case`.
    """
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    rows = rows.reindex(columns=[*KEYS, "images", "seeds", *_NUMBERS])
    rows["p_holm"] = statistics.holm(rows["p"].to_numpy(dtype=float))
    rows["p_equivalent"] = statistics.holm(rows["p_equivalent"].to_numpy(dtype=float))
    p, low, high = (rows[name].to_numpy(dtype=float) for name in ("p_holm", "low", "high"))
    signs = statistics.significant_sign(p, low, high, ALPHA)
    equivalent = rows["p_equivalent"].to_numpy(dtype=float) < ALPHA
    rows["mark"] = np.select([signs > 0, signs < 0, equivalent], ["better", "worse", "equivalent"], "")
    return rows
