"""Files that are either whole or not there, and room for them; CSV, and hashes."""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from blindsr.runtime import escaping, outputs, temporary
from blindsr.runtime.errors import UserError, one_line

_MENDS = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space",
    errno.EROFS: "choose a place that is not read-only",
    errno.EACCES: "check the folder's rights",
    errno.EPERM: "check the folder's rights",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "end other programs, this machine has no more open files",
    errno.EAGAIN: "raise the limit of processes (ulimit -u)",
    errno.ENOMEM: "end other programs, or raise the limit of memory",
}
_LIMITS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
_NO_DATA = {"@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only when the block ends well; until then, what was there stays.

    Args:
        path: Path of the file; parent folders are made.

    Yields:
        The file, binary and open for writing, in the same folder.

    Raises:
        UserError: when the disk is full or the folder may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.whole(path) as file:
            yield file
    except OSError as error:
        raise problem(path, error) from None


def is_hidden(name: str) -> bool:
    """Whether a file or folder is no data of a user: hidden, or made by a file manager, a NAS or an archiver.

    Args:
        name: Without the folders above it, such as ".ipynb_checkpoints", "@eaDir" or "__MACOSX".
    """
    return name.startswith(".") or name in _NO_DATA


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a whole file, or leave what was there.

    Args:
        path: Path of the file; parent folders are made.
        content: Text is written as UTF-8, with the line ends it has.

    Raises:
        UserError: as `atomic` does.
    """
    if outputs.is_stream(path):
        try:
            outputs.write_stream(path, _bytes(content))
        except OSError as error:
            raise problem(path, error) from None
        return
    with atomic(path) as file:
        file.write(_bytes(content))


def _bytes(content: bytes | str) -> bytes:
    # a file name that is not text in UTF-8 comes as lone surrogates, which UTF-8 has no bytes for
    return content.encode(errors="backslashreplace") if isinstance(content, str) else content


def regular(path: str, flags: int) -> int:
    """Open a file that has an end, for `open(path, opener=regular)`: a pipe would wait for ever, a device never stop.

    Args:
        path: Path of the file; links are followed.
        flags: Of `os.open`.

    Returns:
        Its descriptor.

    Raises:
        OSError: for a folder, a pipe, a device or a socket, and as `os.open`.
    """
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # which changes nothing for a file
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is a pipe or a device, and no file", path)


def read_bytes(path: Path) -> bytes:
    """Read a whole file. Raises OSError as `regular` does."""
    with open(path, "rb", opener=regular) as file:
        return file.read()


def read_text(path: Path) -> str:
    """Read a text that people write: UTF-8, with or without a byte order mark.

    Args:
        path: Path of the file.

    Returns:
        The text, with "\\n" at line ends.

    Raises:
        OSError: where the file cannot be read.
        UserError: that names the file, where it has another encoding.
    """
    try:
        with open(path, encoding="utf-8-sig", opener=regular) as file:
            return file.read()
    except UnicodeDecodeError as error:
        wrong = f"byte 0x{error.object[error.start]:02x} at {error.start}"
        raise UserError(f"{path} is not UTF-8 ({wrong}): save it in this encoding") from None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table atomically: the same cells give the same bytes, UTF-8 with "\\n" at line ends.

    Args:
        path: As for `write_atomic`.
        header: Names of the columns.
        rows: Cells in their order; what is not text is written as `str` gives it, and no text as a formula.

    Raises:
        UserError: as `atomic` does.
    """
    lines = (_csv_line(map(escaping.csv_cell, row)) for row in [header, *rows])
    write_atomic(path, "".join(lines))


def _csv_line(row: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(row)  # with its own line end, "\r\n", it quotes a cell that holds either of the two
    return f"{line.getvalue()[:-2]}\n"


def read_csv(path: Path, *, again: str = "delete it and make it again") -> list[dict[str, str]]:
    """Read a table, as `write_csv` writes it.

    Args:
        path: Path of the file, UTF-8.
        again: How the file is made again, for the message.

    Returns:
        Its rows, each column name -> text of the cell.

    Raises:
        FileNotFoundError: without the file.
        UserError: that names the file, where it is not UTF-8 or no table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, strict=True))
    except (csv.Error, ValueError) as error:  # of decoding
        raise UserError(f"{path} is damaged ({one_line(error)}): {again}") from None
    if not rows:
        raise UserError(f"{path} is empty: {again}")
    header, *cells = rows
    for number, row in enumerate(cells, start=1):
        if len(row) != len(header):
            raise UserError(f"{path} is damaged (row {number} has {len(row)} of {len(header)} cells): {again}")
    return [dict(zip(header, map(escaping.csv_text, row), strict=True)) for row in cells]


def require_free(place: Path, needed: int) -> None:
    """Refuse to go on where the disk has too little room.

    Args:
        place: A folder on it, which is there.
        needed: Bytes.

    Raises:
        UserError: if fewer are free.
    """
    free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"{place}: {needed / 2**20:.0f} MiB more are needed, {free / 2**20:.0f} MiB are free: free space and run "
            "the same command again"
        )


def reserve(path: Path, size: int) -> None:
    """Give a file its final length, with room on the disk for all of it; what it holds stays.

    Where a file system cannot reserve, the rest of the file is a hole.

    Args:
        path: Path of the file, made if it is not there; its folder is.
        size: Bytes, not below those that it has.

    Raises:
        UserError: if there is no such room, or the folder may not be written.
    """
    try:
        require_free(path.parent, size - (path.stat().st_blocks * 512 if path.exists() else 0))
        with path.open("ab") as file:
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    file.truncate(0)  # give back what was taken so far
                    raise
            file.truncate(size)
    except OSError as error:
        raise problem(path, error) from None


def move(source: Path, target: Path) -> None:
    """Give a file another name, on another disk by a copy.

    Args:
        source: The file.
        target: Its new path; an old file there is replaced, and never written into.

    Raises:
        UserError: when that disk is full or the folder may not be written.
    """
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise problem(target, error) from None
        with source.open("rb") as old, atomic(target) as new:
            shutil.copyfileobj(old, new, 1 << 20)
        source.unlink()


def problem(path: Path, error: OSError) -> UserError:
    """Turn an error of writing into the line for a user.

    Args:
        path: What could not be written.
        error: What the system said.

    Returns:
        The error to raise, which says what to do about it.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"{path}: the disk is full: free space and run the same command again")
    return UserError(f"{path} cannot be written: {error.strerror}: {mend(error)}")


def is_limit(error: OSError) -> bool:
    """Whether the system has run out of something, which is no fault of this program."""
    return error.errno in _LIMITS


def mend(error: OSError) -> str:
    """What to do about an error of reading or writing."""
    return _MENDS.get(error.errno or 0, "check that it is there, and its folder's rights")


def sha256(content: Path | bytes | memoryview) -> str:
    """SHA-256 of a file, or of bytes, as 64 hexadecimal digits. Raises OSError as `regular` does."""
    if not isinstance(content, Path):
        return hashlib.sha256(content).hexdigest()
    with open(content, "rb", opener=regular) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(content: bytes | memoryview, name: str) -> bytes:
    """The hash to put in front of what is kept in a file, so that `unsealed` finds damage, and a file in its place.

    Args:
        content: Of the file.
        name: What tells it from others of its kind.

    Returns:
        32 bytes.
    """
    digest = hashlib.sha256(name.encode())
    digest.update(content)
    return digest.digest()


def unsealed(path: Path, name: str) -> memoryview:
    """Read what stands behind the hash that `seal` gave.

    Args:
        path: Of the file.
        name: As for `seal`.

    Returns:
        The content.

    Raises:
        OSError: where the file cannot be read.
        ValueError: where it is damaged, or has another name.
    """
    content = memoryview(path.read_bytes())
    if content[:32] != seal(content[32:], name):
        raise ValueError(f"{path} is damaged")
    return content[32:]


def key(determining: Any) -> str:
    """SHA-256 of plain values, as 64 hexadecimal digits, whatever the order in mappings.

    Names state: what was computed from other values has another key.
    """
    return sha256(json.dumps(determining, sort_keys=True).encode())
