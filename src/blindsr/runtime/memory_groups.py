"""The memory that the control groups around this process leave it: those of Docker, SLURM, systemd and the like.

Linux kills a process whose group goes over its limit. The limit may be on the group itself or on any above it, in one
of two versions of the interface; which group and where its files are, the system says in two tables.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_Names = tuple[tuple[str, ...], str, str]
# limits, use, and the name in memory.stat of the files that are cached for a whole group: of versions 2 and 1
_V2: _Names = (("memory.max", "memory.high"), "memory.current", "inactive_file")
_V1: _Names = (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")


def free_bytes(root: Path = Path("/")) -> int | None:
    """Find how much this process may still take before a limit is met.

    Args:
        root: Folder that stands for the root of all paths.

    Returns:
        Bytes, which may be below 0; None without any limit.
    """
    left = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        for folder, (limits, use, cached) in _groups(root):
            for limit in limits:
                with contextlib.suppress(OSError, ValueError):  # absent, or "max"
                    most, used = int((folder / limit).read_text("ascii")), int((folder / use).read_text("ascii"))
                    left.append(most - used + _cached(folder / "memory.stat", cached))
    return min(left, default=None)


def _groups(root: Path) -> Iterator[tuple[Path, _Names]]:
    """The folders of all groups that this process is in, with what their files are called."""
    own = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text("utf-8").splitlines()]
    for line in (root / "proc/self/mountinfo").read_text("utf-8").splitlines():
        fields, _, system = line.partition(" - ")
        top, place = (_unescaped(field) for field in fields.split()[3:5])
        kind, options = system.split()[0], system.split()[-1].split(",")
        if kind == "cgroup2":
            names, path = _V2, next((path for number, _, path in own if number == "0"), None)
        elif kind == "cgroup" and "memory" in options:
            names, path = _V1, next((path for _, held, path in own if "memory" in held.split(",")), None)
        else:
            continue
        folder = mount = root / place.lstrip("/")
        if path is not None and PurePosixPath(path).is_relative_to(top):  # else it is outside of what is mounted here
            folder = mount / PurePosixPath(path).relative_to(top)
        yield folder, names
        while folder != mount:
            folder = folder.parent
            yield folder, names


def _unescaped(field: str) -> str:
    """A path of mountinfo, which has spaces and the like as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _cached(stat: Path, name: str) -> int:
    """Bytes of files that the system gives up when memory is short; they count as used."""
    with contextlib.suppress(OSError, ValueError):
        for line in stat.read_text("ascii").splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return 0
