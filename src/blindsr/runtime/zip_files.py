"""Zip archives that nobody vouches for, opened in little time and memory whatever their directory says."""

import io
import zipfile
from typing import IO, Any, cast

_LONGEST_ENTRY = 400  # bytes in the directory, on average: 46, a name, and what archivers add
_LEAST = 1 << 17  # bytes: the end of an archive, with a comment, may have half of that


class TooManyMembersError(zipfile.BadZipFile):
    """The directory of an archive is longer than anyone wants to read."""


def open_zip(file: IO[bytes], most: int) -> zipfile.ZipFile:
    """Open an archive whose directory is read only up to a bound.

    Args:
        file: The archive, seekable; it stays open as long as it is read.
        most: Members that it may have.

    Returns:
        The archive.

    Raises:
        TooManyMembersError: for more of them.
        zipfile.BadZipFile: for a damaged archive, and what else the reader raises on one.
    """
    bounded = _Bounded(file, max(most * _LONGEST_ENTRY, _LEAST))
    opened = zipfile.ZipFile(cast(IO[bytes], bounded))
    bounded.limit = None
    if len(opened.filelist) > most:
        raise TooManyMembersError(f"it holds {len(opened.filelist)} files, and {most} are the most that are read")
    return opened


class _Bounded:
    """A file that refuses to give much at once, as the reader asks for the directory in one piece."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file = file
        self.limit: int | None = limit

    def read(self, size: int = -1) -> bytes:
        if self.limit is None:
            return self._file.read(size)
        content = self._file.read(self.limit + 1 if size < 0 else min(size, self.limit + 1))
        if len(content) > self.limit:
            raise TooManyMembersError("its directory is too long to be read")
        return content

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(position, whence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
