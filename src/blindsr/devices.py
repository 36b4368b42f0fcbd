"""Where a network runs: the device and the number of CPU threads that the settings ask for."""

import contextlib
from collections.abc import Iterator

import torch

from blindsr.errors import UserError


def choose(name: str) -> torch.device:
    """Device of `runtime.device`; auto is the first GPU if there is one. Raises UserError for an absent GPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (torch.device(name).index or 0) >= count:
            raise UserError(f"runtime.device {name}: this machine has {count} usable GPUs; set it to auto or cpu")
    return torch.device(name)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """CPU threads of torch inside the block: fixed by the settings, since they set the order of float sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
