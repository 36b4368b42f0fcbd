"""Resumable state of a training run: written atomically, checked by hash, the last two kept."""

import contextlib
import io
import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from blindsr.runtime import committed, files
from blindsr.runtime.errors import UserError

_KEPT = 2
_MADE = "made.json"
_NAME = re.compile(r"(\d{9})-([0-9a-f]{16})\.pt")
_log = logging.getLogger(__name__)


def dump(state: dict[str, Any]) -> bytes:
    """Tensors and plain values as bytes: the same ones for the same state."""
    buffer = io.BytesIO()  # a file's name would stand in the archive
    torch.save(state, buffer)
    return buffer.getvalue()


def parse(content: bytes) -> dict[str, Any]:
    """Read what `dump` made.

    Args:
        content: Its bytes.

    Returns:
        The state, with its tensors on the CPU.

    Raises:
        pickle.UnpicklingError: for anything but tensors and plain values.
    """
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def save(folder: Path, iteration: int, state: dict[str, Any]) -> None:
    """Write the state after some iterations, and remove all but the newest two.

    Args:
        folder: Folder of the states; made where it is missing.
        iteration: Iterations that are done.
        state: Tensors and plain Python values.

    Raises:
        UserError: when the disk is full or the folder may not be written; the newest state that is there stays.
    """
    content = dump(state)
    path = folder / f"{iteration:09d}-{_digest(content)}.pt"
    try:
        files.write_atomic(path, content)
    except UserError as error:
        older = _files(folder)[:-1]
        if not older:
            raise UserError(f"{error}; {resumption(folder)}") from None
        older[0].unlink()  # for want of room; another state is still there
        try:
            files.write_atomic(path, content)
        except UserError as again:
            raise UserError(f"{again}; {resumption(folder)}") from None
    for old in _files(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)


def require_room(folder: Path, size: int) -> None:
    """Refuse to begin where the states would not fit.

    Args:
        folder: As for `save`.
        size: Bytes of a state.

    Raises:
        UserError: if the disk has less room than the two that are kept need, or those that are not there yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files.require_free(folder, size * max(0, _KEPT - len(_files(folder))))


def latest(folder: Path) -> dict[str, Any] | None:
    """Read the newest state that is whole. A damaged one is passed over with a warning.

    What a process that was killed left half written is removed.

    Args:
        folder: As for `save`; it need not exist.

    Returns:
        The state, with its tensors on the CPU; None where there is none.
    """
    for half in folder.glob(".*"):
        half.unlink()
    for path in reversed(_files(folder)):
        content = path.read_bytes()
        if path.name.endswith(f"-{_digest(content)}.pt"):
            return parse(content)
        _log.warning("%s is damaged: going on from the state before it", path)
    return None


def is_whole(path: Path) -> bool:
    """Whether a state is what was saved under its name."""
    match = _NAME.fullmatch(path.name)
    return match is None or _digest(path.read_bytes()) == match[2]


def newest_iteration(folder: Path) -> int:
    """Iterations behind the newest state, which is not opened; 0 without one."""
    return max((int(path.name[:9]) for path in _files(folder)), default=0)


def resumption(folder: Path) -> str:
    """Say where the same command goes on from, for the message of an error."""
    iteration = newest_iteration(folder)
    return f"the same command resumes from iteration {iteration}" if iteration else "the same command begins anew"


def finish(folder: Path, made: Sequence[Path]) -> None:
    """Note what a training has made; its last state stays until DVC has that, so that nothing is trained again.

    Args:
        folder: As for `save`.
        made: The files, which are there.

    Raises:
        UserError: as `save` does.
    """
    committed.note(folder / _MADE, made)
    for old in _files(folder)[:-1]:
        old.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the states of a training that has ended, if DVC has what it has made."""
    if committed.is_seen(folder / _MADE):
        shutil.rmtree(folder, ignore_errors=True)


def sweep_others(folder: Path) -> None:
    """As `sweep`, for all folders beside this one whose run is in no other process's hands."""
    for record in folder.parent.glob(f"*/{_MADE}"):
        other = record.parent
        if other != folder:
            with contextlib.suppress(Timeout, OSError), lock(other).acquire(timeout=0):
                sweep(other)


def lock(folder: Path) -> FileLock:
    """What a process holds that trains the run of this folder."""
    return FileLock(folder.with_suffix(".lock"))


def _files(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _NAME.fullmatch(path.name))


def _digest(content: bytes) -> str:
    return files.sha256(content)[:16]
