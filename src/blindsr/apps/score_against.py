"""One model against another on the same images: the difference in PSNR, and what it is made of."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.reporting import gain_split, statistics
from blindsr.reporting.gain_split import Split
from blindsr.runtime import escaping
from blindsr.runtime.errors import UserError

NEEDED = ("psnr_db", *gain_split.NEEDED)
"""Metrics that the split is computed of."""
_MEAN = "mean"
_TOO_FEW = "no interval can be given; use at least 20, better 100"


def of_files(scores: Path, against: Path) -> None:
    """Print the table for two files that `score --csv` or `evaluate` wrote.

    Raises:
        UserError: for files that cannot be read, or have no image and case in common.
    """
    one, other = (_read(path) for path in (scores, against))
    cases = list(dict.fromkeys(score.key.case for score in one))
    print_table(compare(one, other, cases), scores.name, against.name)


def _read(path: Path) -> list[Score]:
    try:
        found = benchmarks.read_csv(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give a file of `blindsr score --csv`") from None
    if not found:
        raise UserError(f"{path} has no rows: give a file of `blindsr score --csv`")
    lacking = [name for name in NEEDED if not any(name in score.values for score in found)]
    if lacking:
        raise UserError(f"{path} lacks {', '.join(lacking)}: score again with --metrics {','.join(NEEDED)}")
    return found


def compare(scores: Sequence[Score], against: Sequence[Score], cases: Sequence[str]) -> pd.DataFrame:
    """The difference of each case, and of their mean, over the images that both have in all of the cases.

    Args:
        scores: Of one model.
        against: Of the other, its baseline.
        cases: In the order of the rows.

    Returns:
        Columns case, images, psnr_db, against_db, and for each of total, direction and amplitude its mean in dB with
        the ends of its 95 % interval over images (NAME, NAME_low, NAME_high).

    Raises:
        UserError: if they have no image in common.
    """
    known = [{score.key: score.values for score in side} for side in (scores, against)]
    named = dict.fromkeys((score.key.benchmark, score.key.image) for score in scores)
    keys = [[Key(benchmark, case, image) for case in cases] for benchmark, image in named]
    images = [row for row in keys if all(_usable(side.get(key, {})) for side in known for key in row)]
    if not images:
        raise UserError("the two have no image in common with finite scores in all cases: nothing can be compared")
    arrays = [
        np.array([[[side[key].get(name, math.nan) for key in row] for row in images] for name in NEEDED])
        for side in known
    ]
    (psnr, cosine, amplitude), (psnr0, cosine0, amplitude0) = arrays
    parts = gain_split.split(cosine, amplitude, cosine0, amplitude0)
    table = pd.DataFrame({"case": [*cases, _MEAN], "images": len(images)})
    for name, values in (("psnr_db", psnr), ("against_db", psnr0)):
        table[name] = _with_mean(values).mean(0)
    for name, part in parts._asdict().items():
        values = _with_mean(part)[None]
        made = statistics.compare(values, np.zeros_like(values))
        table[name], table[f"{name}_low"], table[f"{name}_high"] = made.mean, made.low, made.high
    return table


def _usable(values: Mapping[str, float]) -> bool:
    """Whether an image has finite scores; the cosine of a model that adds nothing is not defined, and not needed."""
    psnr, cosine, amplitude = (values.get(name, math.nan) for name in NEEDED)
    return math.isfinite(psnr) and math.isfinite(amplitude) and (amplitude == 0 or math.isfinite(cosine))


def _with_mean(values: np.ndarray) -> np.ndarray:
    """(images, cases) with the mean over the cases as one more."""
    return np.concatenate([values, values.mean(1, keepdims=True)], axis=1)


def _interval(low: float, high: float) -> str:
    return f"[{low:+.2f}, {high:+.2f}]" if math.isfinite(low) and math.isfinite(high) else "–"


def print_table(table: pd.DataFrame, model: str, against: str) -> None:
    """Print it, with how it is to be read."""
    shown = Table()
    shown.add_column("case", no_wrap=True)
    for name in ("model", "against", "difference", "direction", "amplitude"):  # their names may be long
        shown.add_column(name, justify="right", no_wrap=True)
    for row in table.to_dict("records"):
        if row["case"] == _MEAN:
            shown.add_section()
        # two lines, so that it fits into 80 columns
        ends = (f"{row[name]:+.3f}\n{_interval(row[f'{name}_low'], row[f'{name}_high'])}" for name in Split._fields)
        shown.add_row(str(row["case"]), f"{row['psnr_db']:.2f}", f"{row['against_db']:.2f}", *ends)
    console, count = Console(), int(table["images"].iloc[0])
    of = f"{count} images, with 95 % intervals over images" if count > 1 else f"1 image: {_TOO_FEW}"
    text = f"{model} minus {against} in dB of PSNR, {of}"
    console.print(escaping.terminal(text), soft_wrap=True, markup=False, highlight=False)
    console.print(shown)
    console.print(
        "direction: the detail that is added is more right. amplitude: it is more or less of it, which turning one "
        "model's detail up or down would change too.",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip
