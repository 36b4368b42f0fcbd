"""Where a network runs: the device and the number of CPU threads that the settings ask for.

MPS, the GPU of Apple's chips, has no float64, one queue that threads must not share, and an allocator of its own.
"""

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from blindsr.runtime import memory_groups
from blindsr.runtime.errors import UserError

_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_NO_MEMORY = ("MPS backend out of memory", "DefaultCPUAllocator", "could not create a primitive")  # the last: oneDNN
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


def choose(name: str) -> torch.device:
    """Find the device of `runtime.device`, or of --device.

    Args:
        name: "cpu", "cuda", "cuda:N", "mps", or "auto": the first of a CUDA GPU, Apple's MPS and the CPU.

    Returns:
        The device; without a number for "auto" and "cuda".

    Raises:
        UserError: for an unknown name or an absent device.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"unknown device {name}: give auto, cpu, cuda, cuda:N or mps")
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    if name == "mps" and not mps:
        raise UserError("runtime.device mps: this machine has no usable MPS; set it to auto or cpu")
    if name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (torch.device(name).index or 0) >= count:
            raise UserError(f"runtime.device {name}: this machine has {count} usable GPUs; set it to auto or cpu")
    return torch.device(name)


def widest_float(device: torch.device) -> torch.dtype:
    """The most exact floating-point type of a device: float64, but float32 on MPS."""
    return torch.float32 if device.type == "mps" else torch.float64


def exact(tensor: Tensor) -> Tensor:
    """`tensor` in float64, for a statistic: on its device, or on the CPU where that has no float64."""
    return (tensor.cpu() if widest_float(tensor.device) != torch.float64 else tensor).double()


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, in place.

    Args:
        network: One in float64, as a foreign file may hold, becomes float32 on MPS.
        device: Where to.

    Returns:
        The same network.
    """
    tensors = (*network.parameters(), *network.buffers())
    if widest_float(device) != torch.float64 and any(tensor.dtype == torch.float64 for tensor in tensors):
        network.float()
    return network.to(device)


def beside(device: torch.device) -> torch.device:
    """Where another thread may compute while a network runs on `device`: there, too, but on the CPU beside MPS."""
    return torch.device("cpu") if device.type == "mps" else device


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` is that of an allocation on a GPU, MPS or the CPU."""
    said = str(error)  # MPS, the CPU and oneDNN raise a RuntimeError
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and (any(sign in said for sign in _NO_MEMORY))
    )


def free_cache(device: torch.device) -> None:
    """Give the memory back that torch keeps of a GPU or of MPS without using it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


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
    """Find how much memory this process may still take.

    Args:
        device: A GPU is asked for its own memory; for the others it is the machine's, or what is left to the
            container, job or service that this runs in. MPS shares the machine's, and may take a part of it.

    Returns:
        Bytes, >= 0; what torch holds of a GPU or of MPS without using it counts as free.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    import psutil  # which only this needs

    free = int(psutil.virtual_memory().available)
    limited = memory_groups.free_bytes()
    if limited is not None:
        free = min(free, limited)
    if device.type == "mps":
        unused = torch.mps.driver_allocated_memory() - torch.mps.current_allocated_memory()
        free = min(free, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()) + unused
    return max(free, 0)
