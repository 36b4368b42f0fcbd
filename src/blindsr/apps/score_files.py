"""Files that `score` writes: what is there already is replaced only by what holds it, too, unless that is asked for.

So the same command can be repeated, and one that lacked some images goes on; scores of another model, which may have
taken hours, are not lost.
"""

import contextlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.runtime import files, outputs
from blindsr.runtime.errors import UserError

Rows = dict[Key, dict[str, str]]
"""Scores as text, by their metrics."""
_OTHER = "{} is there already, with other scores: name another file, or give --overwrite to replace it"


def require_room(path: Path, keys: Collection[Key], columns: Sequence[str]) -> None:
    """Refuse, before anything is scored, a file that cannot be of the same scores.

    Args:
        path: Of a CSV or of JSON.
        keys: What will be scored.
        columns: Metrics.

    Raises:
        UserError: if another file, or scores of other images or metrics, are there.
    """
    if outputs.is_stream(path) or not path.exists():
        return
    there = _read(path)
    if there is None or there[0] != list(columns) or not there[1].keys() <= set(keys):
        raise UserError(_OTHER.format(path))


def write_csv(path: Path, scores: Sequence[Score], columns: Sequence[str], *, overwrite: bool) -> None:
    """Write a row per score, as `benchmarks.write_csv` does.

    Args:
        path: Of the file.
        scores: In the order of the rows.
        columns: Metrics.
        overwrite: Whatever is there.

    Raises:
        UserError: where the file cannot be written, or holds other scores.
    """
    if not overwrite and path.is_file():
        made = {score.key: _rounded(score.values, columns) for score in scores}
        _require_same(path, made)
    benchmarks.write_csv(scores, columns, path)


def write_json(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a report, as `score_report.as_json` makes it.

    Args:
        path: Of the file.
        text: Its content.
        overwrite: Whatever is there.

    Raises:
        UserError: as `write_csv` does.
    """
    if not overwrite and path.is_file():
        _require_same(path, _of_json(json.loads(text))[1])
    files.write_atomic(path, text)


def _require_same(path: Path, made: Rows) -> None:
    there = _read(path)
    if there is None or any(made.get(key) != row for key, row in there[1].items()):
        raise UserError(_OTHER.format(path))


def _read(path: Path) -> tuple[list[str], Rows] | None:
    """Metrics and rows of a file of scores; None for any other file."""
    with contextlib.suppress(UserError, OSError, ValueError, TypeError, LookupError, AttributeError):
        text = path.read_text("utf-8")
        if text.startswith("{"):
            return _of_json(json.loads(text))
        header = text.splitlines()[0].split(",")[len(Key._fields) :] if text else []
        rows = {score.key: _rounded(score.values, header) for score in benchmarks.read_csv(path)}
        if header:
            return header, rows
    return None


def _of_json(report: dict[str, Any]) -> tuple[list[str], Rows]:
    rows = report["scores"]
    header = [name for name in rows[0] if name not in Key._fields]
    return header, {Key(*(row[field] for field in Key._fields)): _rounded(row, header) for row in rows}


def _rounded(values: Mapping[str, Any], columns: Sequence[str]) -> dict[str, str]:
    """As both files have them: what was not computed, and in JSON what is infinite, is empty."""
    found = {name: values.get(name) for name in columns}
    return {
        name: "" if value is None or not math.isfinite(value) else f"{value:.6f}" for name, value in found.items()
    }
