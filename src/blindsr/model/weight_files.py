"""Trained weights on disk."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from blindsr.model import architecture
from blindsr.plugins.backbones.base import Backbone
from blindsr.runtime import files, packages, recorded
from blindsr.runtime.errors import UserError

KEY = "blindsr"  # the one metadata key of a weights file: the order of several is not kept
_LEAST_BOUND = 256  # whole numbers up to this are settings of some network


class WeightsInfo(BaseModel):
    """What a weights file says of itself: enough to build its network again, and which run it is from."""

    model_config = ConfigDict(frozen=True)

    backbone: str
    hyper: dict[str, Any]
    scale: int
    regularizer: str
    seed: int
    iterations: int
    run: str


def save(backbone: nn.Module, info: WeightsInfo, path: Path) -> None:
    """Write a backbone's weights (float32 safetensors, public state-dict names), whole or not at all.

    Args:
        backbone: The network, on any device.
        info: What the file says of itself.
        path: Path of the file; parent folders are made.

    Raises:
        UserError: where the file cannot be written.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in backbone.state_dict().items()}
    metadata = {KEY: json.dumps(info.model_dump(), sort_keys=True)}
    files.write_atomic(path, safetensors.torch.save(state, metadata))


def is_ours(path: Path) -> bool:
    """Whether a file is what `save` wrote; not what is damaged, or of another project.

    Args:
        path: Of any file.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return KEY in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False  # whoever reads it says what is wrong


def load(path: Path, *, trust: bool = False) -> tuple[Backbone, WeightsInfo]:
    """Read what `save` wrote.

    Args:
        path: Of the file. Floats of another precision are widened or rounded to float32.
        trust: Run the Python file that the network is built by, where it is one of the user's.

    Returns:
        The backbone in eval mode on the CPU, and the file's description.

    Raises:
        UserError: that names the file, if it is missing, damaged, not of this project, or holds other numbers or
            shapes than its network has; or if a Python file would have to be run that is not trusted; as
            `recorded.require` does.
    """
    recorded.require(path)
    try:
        os.close(files.regular(str(path), os.O_RDONLY))
        with safetensors.safe_open(path, "pt") as file:
            info = WeightsInfo.model_validate_json((file.metadata() or {})[KEY])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro`, or `dvc pull` to fetch it") from None
    except (safetensors.SafetensorError, KeyError, ValidationError, OSError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise UserError(f"{path} holds no weights of this project ({reason}): train or fetch it anew") from None
    if not trust and (own := packages.own_files(info.hyper)):
        raise UserError(f"{path} is of a network that {own[0]} builds, which is Python: give --trust to run it")
    most = max([_LEAST_BOUND, len(state), *(size for value in state.values() for size in value.shape)])
    if any(size > most for size in _integers(info.hyper)):
        # the file says how large its network is: one that lies would take all memory before anything is compared
        raise UserError(f"{path} does not fit {info.backbone}: its settings ask for more than it holds")
    try:
        backbone = architecture.build_for(state, info.backbone, info.hyper, info.scale)
    except UserError as error:
        raise UserError(f"{path} is of another version of this project ({error}): train or fetch it anew") from None
    for name, value in backbone.state_dict().items():
        found = state.get(name, value).dtype
        if found.is_floating_point != value.is_floating_point():  # which load_state_dict would convert silently
            kind = str(found).removeprefix("torch.")
            raise UserError(f"{path} holds {name} as {kind}: convert its weights to float32, or fetch it anew")
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit {info.backbone}: {str(error).splitlines()[-1].strip()}") from None
    return backbone.eval(), info


def _integers(value: Any) -> Iterator[int]:
    """All whole numbers in nested settings."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _integers(item)
    elif isinstance(value, int):
        yield value
