"""Where a network runs: the device and the number of CPU threads that the settings ask for."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from blindsr.runtime.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
# of a container: its limit of memory, its use, and how much of that is a cache of files (cgroup version 2, and 1)
_CGROUP = [
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
]


def choose(name: str) -> torch.device:
    """Device of `runtime.device`; auto is the first GPU if there is one. Raises UserError for an absent GPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (torch.device(name).index or 0) >= count:
            raise UserError(f"runtime.device {name}: this machine has {count} usable GPUs; set it to auto or cpu")
    return torch.device(name)


def make_repeatable(device: torch.device) -> None:
    """Make a GPU take the algorithms that give the same bits each time; call it before the device is used."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # unless `tf32` says so
        # costs a pass over every new tensor
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether an NVIDIA GPU may round what enters its matrix products and convolutions to 10 bits, inside the block.

    By default torch lets convolutions do so, which "fp32" does not say.
    """
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """CPU threads of torch inside the block: fixed by the settings, since they set the order of float sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Make this process reuse the memory of freed tensors instead of returning it to the system each time.

    By default glibc maps every large tensor anew, and gives back what is free at the heap's end: the page faults cost
    a training step or an upscaled photo on a CPU 10 to 20 %. Elsewhere than on glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)  # never


def free_bytes(device: torch.device) -> int:
    """Memory that this process may still take: of the GPU, or of the machine and of the container it runs in."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    free = int(psutil.virtual_memory().available)
    for files in _CGROUP:
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            limit, used, stat = (Path(file).read_text() for file in files)
            cached = int(stat.split("inactive_file ")[1].split()[0])
            free = min(free, int(limit) - int(used) + cached)
    return max(free, 0)
