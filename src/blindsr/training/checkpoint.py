"""Resumable state of a training run: written atomically, checked by hash, the last two kept."""

import io
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from blindsr.runtime import files

_KEPT = 2
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
        UserError: when the disk is full or the folder may not be written; the states already there stay.
    """
    content = dump(state)
    files.write_atomic(folder / f"{iteration:09d}-{_digest(content)}.pt", content)
    for old in _files(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)


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


def clear(folder: Path) -> None:
    """Remove every state of a run that has ended."""
    shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _NAME.fullmatch(path.name))


def _digest(content: bytes) -> str:
    return files.sha256(content)[:16]
