"""Rows of scores as they are made, so that a killed evaluation resumes where it was."""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from blindsr.evaluation.scoring import Key, Score
from blindsr.runtime.errors import UserError


class Journal:
    """One line of JSON per row, appended; every process that shares the work has its own file in one folder.

    A row carries a stamp of the images that it is the score of, and counts only beside an equal one. Floats come
    back bit for bit. A line that was cut off by a kill, or does not fit the checksum in front of it, is passed over.
    """

    def __init__(self, folder: Path, name: str = "0") -> None:
        """Rows are written to <folder>/<name>.jsonl and read from all files there."""
        self._folder = folder
        self._path = folder / f"{name}.jsonl"

    def read(self) -> dict[tuple[Key, str], Score]:
        """(key, stamp) -> score of every whole row in the folder."""
        rows: dict[tuple[Key, str], Score] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    check, text = line.split(b" ", 1)
                    if check != self._check(text):
                        continue
                    stamp, key, values = json.loads(text)
                    row = Score(Key(*key), dict(values))
                except (ValueError, TypeError):
                    continue
                rows[row.key, stamp] = row
        return rows

    def append(self, rows: Iterable[tuple[str, Score]]) -> None:
        """Write rows; they are kept also if this process is killed right after.

        Args:
            rows: (stamp, score) of each row.

        Raises:
            UserError: where the folder cannot be written.
        """
        # the line end in front closes what a kill may have left of a line
        lines = [json.dumps([stamp, *score]).encode() for stamp, score in rows]
        text = b"".join(b"\n%s %s" % (self._check(line), line) for line in lines)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(text + b"\n")
        except OSError as error:
            raise UserError(f"{self._path} cannot be written: {error.strerror}: free space, then run again") from None

    def clear(self) -> None:
        """Remove the rows of every process."""
        for path in self._folder.glob("*.jsonl"):
            path.unlink(missing_ok=True)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _check(self, line: bytes) -> bytes:
        # of the folder's name, too: another run has rows of the same images
        return b"%08x" % zlib.crc32(line, zlib.crc32(self._folder.name.encode(errors="backslashreplace")))
