"""The CSV files of other stages, read strictly: a damaged or edited one is one line that names it."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from blindsr.runtime import escaping, files, recorded
from blindsr.runtime.errors import UserError

_TEXT = (
    "benchmark",
    "case",
    "image",
    "kind",
    "space",
    "layer",
    "dropped",
    "view",
    "degradation",
    "method",
    "plane",
    "label",
)
"""Columns of names, which are texts whatever they look like: an image may be called NA or 007."""


def read(path: Path, *, needed: Collection[str] = (), unique: Collection[str] = (), again: str) -> pd.DataFrame:
    """Read one file.

    Args:
        path: Of the file.
        needed: Columns that it must have; it may have more.
        unique: Columns that tell its rows apart, where it has them; none leaves that unchecked.
        again: How the file is made again, for the message.

    Returns:
        Its rows, perhaps none; what is empty is NaN.

    Raises:
        UserError: that names the file, if it is missing, cut off, not UTF-8 or no table, without a needed column,
            with text where numbers belong, with a row twice, or without what tells its rows apart; as
            `recorded.require` does.
    """
    recorded.require(path)
    try:
        files.read_csv(path, again=again)  # finds rows of another length than the header, which pandas takes
        columns = pd.read_csv(path, nrows=0).columns
        holes = {name: [""] if name in _TEXT else ["", "nan"] for name in columns}
        frame = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values=holes)
        texts = frame.columns.intersection(_TEXT)
        frame[texts] = frame[texts].map(escaping.csv_text, na_action="ignore")
        whole = path.read_bytes().endswith(b"\n")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro`") from None
    except (OSError, ValueError) as error:  # of pandas' parser, and of decoding
        raise UserError(f"{path} is damaged ({' '.join(str(error).split())}): {again}") from None
    absent = sorted(set(needed) - set(frame))
    if not whole:
        raise UserError(f"{path} is cut off: {again}")
    if absent:
        raise UserError(f"{path} has no column {absent[0]}: {again}")
    for name in frame.columns.difference(_TEXT):
        if frame.empty:
            frame[name] = frame[name].astype(float)
        if name in needed and not pd.api.types.is_numeric_dtype(frame[name]):
            raise UserError(f"{path} has text in its column {name}, where numbers belong: {again}")
    if set(unique) <= set(frame):
        _require_unique(frame, path, list(unique), again)
    return frame


def _require_unique(frame: pd.DataFrame, path: Path, columns: list[str], again: str) -> None:
    for name in columns:
        if frame[name].isna().any():
            raise UserError(f"{path} has an empty cell in its column {name}: {again}")
    if columns and frame.duplicated(columns).any():
        twice = frame[frame.duplicated(columns)]
        which = ", ".join(str(twice[name].iloc[0]) for name in columns)
        raise UserError(f"{path} has a row twice ({which}): {again}")


def joined(frames: Sequence[pd.DataFrame], paths: Sequence[Path], *, again: str) -> pd.DataFrame:
    """Put files of one kind into one frame.

    Args:
        frames: One file or more.
        paths: Of each.
        again: As for `read`.

    Returns:
        All rows; none where no file has any.

    Raises:
        UserError: that names a file without rows, where others have some.
    """
    for frame, path in zip(frames, paths, strict=True):
        if frame.empty and not all(other.empty for other in frames):
            raise UserError(f"{path} has no rows, and others have: {again}")
    return pd.concat(frames, ignore_index=True)
