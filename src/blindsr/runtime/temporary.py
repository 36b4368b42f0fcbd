"""Files on their way: without a name where the system has such files, so that a kill leaves nothing of them.

Where it has none, a file has a name of its own until it is whole, and `sweep` finds what a kill left.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

with contextlib.suppress(ImportError):  # which Windows has not
    import fcntl

_PREFIX = ".blindsr-"
_PROC = Path("/proc/self/fd")


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only when the block ends well; until then, what was there stays.

    Args:
        path: Path of the file; its folder is there.

    Yields:
        The file, binary and open for writing, in the same folder.

    Raises:
        OSError: where the folder may not be written, or the disk is full.
    """
    handle = _unnamed(path.parent)
    if handle is None:
        with _named(path) as file:
            yield file
        return
    with os.fdopen(handle, "w+b") as file:
        yield file
        file.flush()
        os.fsync(handle)
        folder = os.open(path.parent, os.O_RDONLY)
        try:  # a folder's descriptor makes Python follow the link, to the file that has no name
            os.link(_PROC / str(handle), path.name, dst_dir_fd=folder)
        except FileExistsError:  # what was there is replaced in one step, which only a name can do
            name = _new_name()
            os.link(_PROC / str(handle), name, dst_dir_fd=folder)
            os.replace(path.parent / name, path)
        finally:
            os.close(folder)


def _unnamed(folder: Path) -> int | None:
    """The descriptor of a file without a name; None where the system, or this file system, has none."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag or not _PROC.is_dir():
        return None
    with contextlib.suppress(OSError):  # whatever else is wrong with the folder shows when a name is made
        return os.open(folder, flag | os.O_RDWR, 0o666)
    return None


@contextmanager
def _named(path: Path) -> Iterator[IO[bytes]]:
    name = path.parent / _new_name()
    handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            _lock(handle)
            yield file
            file.flush()
            os.fsync(handle)
            os.replace(name, path)
    finally:
        name.unlink(missing_ok=True)


def _new_name() -> str:
    return f"{_PREFIX}{secrets.token_hex(8)}"


def _lock(handle: int) -> bool:
    """Mark a file as one that is being written; False if another process, or this one, has done so."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (OSError, NameError):  # of a file system, or a system, without locks
        pass
    return True


def sweep(*folders: Path) -> None:
    """Remove what killed processes left of files on their way, and nothing that is being written.

    Args:
        folders: Looked through with all folders below; one that is not there is passed over.
    """
    for folder in folders:
        for path in folder.rglob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):  # another process may be faster
                handle = os.open(path, os.O_RDWR)
                try:
                    if stat.S_ISREG(os.fstat(handle).st_mode) and _lock(handle):
                        path.unlink()
                finally:
                    os.close(handle)
