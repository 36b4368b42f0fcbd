"""The CSV files of other stages, read strictly: a damaged or edited one is one line that names it."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from blindsr.runtime.errors import UserError

_TEXT = ("benchmark", "case", "image", "kind", "space", "layer", "dropped", "view", "degradation", "method", "plane")
"""Columns of names, which are texts whatever they look like: an image may be called NA or 007."""


def read(path: Path, *, needed: Collection[str] = (), unique: Collection[str] = (), again: str) -> pd.DataFrame:
    """Read one file.

    Args:
        path: Of the file.
        needed: Columns that it must have; it may have more.
        unique: Columns that tell its rows apart; none leaves that unchecked.
        again: How the file is made again, for the message.

    Returns:
        Its rows, perhaps none; what is empty is NaN.

    Raises:
        UserError: that names the file, if it is missing, not UTF-8 or no table, without a needed column, with text
            where numbers belong, or with a row twice.
    """
    try:
        columns = pd.read_csv(path, nrows=0).columns
        holes = {name: [""] if name in _TEXT else ["", "nan"] for name in columns}
        frame = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values=holes)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro`") from None
    except (OSError, ValueError) as error:  # of pandas' parser, and of decoding
        raise UserError(f"{path} is damaged ({' '.join(str(error).split())}): {again}") from None
    absent = sorted(set(needed) - set(frame))
    if absent:
        raise UserError(f"{path} has no column {absent[0]}: {again}")
    for name in frame.columns.difference(_TEXT):
        if frame.empty:
            frame[name] = frame[name].astype(float)
        if name in needed and not pd.api.types.is_numeric_dtype(frame[name]):
            raise UserError(f"{path} has text in its column {name}, where numbers belong: {again}")
    if unique and frame.duplicated(list(unique)).any():
        row = frame[frame.duplicated(list(unique))].iloc[0]
        which = ", ".join(str(row[name]) for name in unique)
        raise UserError(f"{path} has a row twice ({which}): {again}")
    return frame
