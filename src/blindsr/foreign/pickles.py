"""Pickles of a few bytes that would take for ever: they are read as a list of operations before anything is made.

A tuple may hold another one twice, that one a third twice, and so on: to hash or to print it takes two to the power
of their number.
"""

import io
import pickletools
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

_MOST = 10_000_000  # objects in the tuples that are taken once more, together; torch.save takes names alone
_FIRST = 5  # pickles in a row, which is what torch.save wrote before it wrote archives
_SAVED = ("PUT", "BINPUT", "LONG_BINPUT")
_FOUND = ("GET", "BINGET", "LONG_BINGET")
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_CONTAINERS = ("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "LIST", "APPEND", "APPENDS")


def is_endless(path: Path) -> bool:
    """Whether a file of torch.save holds tuples in tuples that are far more than it has bytes.

    Args:
        path: Of the file; of anything else than pickles, what can be read as such counts.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
            return any(_is_endless(io.BytesIO(archive.read(name))) for name in names)
    except (zipfile.BadZipFile, OSError):
        pass
    with path.open("rb") as file:
        return any(_is_endless(file) for _ in range(_FIRST))


def _is_endless(stream: BinaryIO) -> bool:
    """Of the pickle at this place of a file; of a damaged one, up to there."""
    reader = _Reader()
    try:
        for operation, argument, _ in pickletools.genops(stream):
            reader.take(operation, argument)
            if reader.again > _MOST:
                return True
    except Exception:  # the unpickler meets the same, and says so
        return False
    return False


class _Reader:
    """The stack of an unpickler, with the number of objects in its tuples in the place of each object."""

    def __init__(self) -> None:
        self.again = 0
        """Objects in all tuples that were taken once more."""
        self._stack: list[int] = []
        self._below: list[list[int]] = []
        self._memo: dict[int, int] = {}

    def take(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        """Do one operation."""
        name = operation.name
        if name == "MARK":
            self._below.append(self._stack)
            self._stack = []
            return
        if name in _SAVED or name == "MEMOIZE":
            self._memo[len(self._memo) if name == "MEMOIZE" else int(argument)] = self._stack[-1]
            return
        taken: list[int] = []
        before = list(operation.stack_before)
        if pickletools.markobject in before:
            taken, self._stack = self._stack, self._below.pop()
            before = before[: before.index(pickletools.markobject)]
        taken += [self._stack.pop() for _ in before]
        made = max(taken, default=0)
        if name in _FOUND:
            made = self._memo[int(argument)]
            self.again += made
        elif name in _TUPLES:
            made = len(taken) + sum(taken)
        elif name in _CONTAINERS:
            made = 0  # no part of a key
        self._stack += [made] * len(operation.stack_after)
