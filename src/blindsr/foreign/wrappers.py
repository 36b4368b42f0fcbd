"""What training codes save around a state dict, and how the weights are found in it."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

_INSIDE = (
    "params_ema", "ema_state_dict", "ema", "ema_model", "model_ema", "g_ema", "netG_ema", "generator_ema",
    "params", "state_dict", "model_state_dict", "model", "generator", "net_g", "netG", "G", "net", "network",
    "weights",
)  # fmt: skip
"""Keys under which a state dict lies, the ones that are preferred first: an average over training before the last."""
_BEFORE = (
    "module.", "_orig_mod.", "ema_model.", "model_ema.", "ema.", "netG_ema.", "net_g_ema.", "generator_ema.",
    "netG.", "net_g.", "generator.", "model.", "net.", "network.", "backbone.", "student.",
)  # fmt: skip
"""What stands before the names of parameters, preferred likewise; other names beside them are of other networks."""
_COUNTER = "n_averaged"  # of torch's AveragedModel, beside the weights under "module."
_DEEPEST = 8  # levels of wrappers
_LONGEST = 80  # characters of a key in a message


def candidates(content: Any) -> Iterator[dict[str, Tensor]]:
    """The state dicts that a checkpoint may mean, the most likely first.

    Args:
        content: What was unpickled.

    Yields:
        Names of parameters to tensors, without the wrappers. None at all if there are no tensors.
    """
    yield from _inside(content, _DEEPEST, set())


def _inside(content: Any, depth: int, seen: set[int]) -> Iterator[dict[str, Tensor]]:
    if not isinstance(content, Mapping) or not depth or id(content) in seen:
        return
    seen.add(id(content))  # one that many others hold, or that holds itself, is looked into once
    for key in (*_INSIDE, *(key for key in content if key not in _INSIDE)):
        yield from _inside(content.get(key), depth - 1, seen)
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor) and isinstance(name, str)}
    tensors.pop(_COUNTER, None)
    if tensors:
        yield from _without_prefix(tensors, depth)


def _without_prefix(tensors: dict[str, Tensor], depth: int) -> Iterator[dict[str, Tensor]]:
    for prefix in _BEFORE if depth else ():
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if own:
            yield from _without_prefix(own, depth - 1)
    yield tensors  # last, as they are: in ESRGAN's first release the names themselves begin with "model."


def described(content: Any) -> str:
    """The keys of a checkpoint, for a message about one that holds no network."""
    if not isinstance(content, Mapping):
        return f"it is a {type(content).__name__}"
    names = [str(name)[:_LONGEST] for name in itertools.islice(content, 5)]
    return f"its keys are {', '.join(names)}{', …' if len(content) > 5 else ''}" if names else "it is empty"
