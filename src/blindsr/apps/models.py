"""The networks that the apps are told to take: a trained run by its name, a control, or anyone's file."""

import logging
from pathlib import Path
from typing import NamedTuple

from torch import nn

from blindsr.config import params
from blindsr.config.params import Params
from blindsr.config.run import UNTRAINED, did_you_mean
from blindsr.foreign import checkpoints
from blindsr.model import architecture, inference
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

_SCALE = 4  # of a control, outside of a project
_log = logging.getLogger(__name__)


class Model(NamedTuple):
    """A network in eval mode on the CPU, its upscaling factor, and its file if it has one."""

    network: nn.Module
    scale: int
    path: Path | None


def overlap(network: nn.Module, chosen: int | None) -> int:
    """LR px of its surroundings that a tile is given.

    Args:
        network: Of `read`.
        chosen: By the user, who is warned where it is less than the network needs; None: what it needs.
    """
    needed = inference.reach(network)
    if chosen is not None and chosen < needed:
        _log.warning("--overlap %d shows seams where tiles meet: this network needs %d LR pixels", chosen, needed)
    return needed if chosen is None else chosen


def locate(model: str) -> Path | None:
    """The file of a model, which is there; None for a control.

    Args:
        model: a path, "bicubic", "bilinear", "lanczos", or the name of a run whose weights are in models/.

    Raises:
        UserError: for no such file or run, with the nearest names.
    """
    if model in UNTRAINED:
        return None
    path = Path(model)
    if path.exists():
        return path
    if path.suffix or len(path.parts) > 1:
        controls = ", ".join(UNTRAINED)
        raise UserError(f"{model}: no such file; give weights, ONNX, TorchScript, {controls} or the name of a run")
    path = paths.MODELS / f"{model}.safetensors"
    if not path.is_file():
        known = sorted(file.stem for file in paths.MODELS.glob("*-*-*.safetensors"))
        if near := did_you_mean(model, [*known, *UNTRAINED]):
            there = f"{paths.MODELS}/{near}"
        elif known:
            there = f"{paths.MODELS}/ ({', '.join(known)})"
        else:
            hint = "give a file, or go to the folder of a project with trained runs, as `make repro` makes them"
            there = f"{paths.MODELS.resolve()} (none is there): {hint}"
        raise UserError(f"{model} is not a file, and not a trained run in {there}")
    return path


def read(model: str, scale: int | None = None, *, trust: bool = False) -> Model:
    """The network of a run, of a control, or in a file that `checkpoints.read` knows.

    Args:
        model: as for `locate`.
        scale: the factor that it must have; None: its own. A control has any: that of the project in the working
            directory, or 4, for None.
        trust: as for `checkpoints.read`.

    Raises:
        UserError: as `locate` and `checkpoints.load` do.
    """
    path = locate(model)
    if path:
        network, own = checkpoints.read(path, trust=trust)
        if scale not in (None, own):
            raise UserError(f"{path} upscales by {own}, not by {scale}: give --scale {own}, or other weights")
        return Model(network, own, path)
    factor = scale or default_scale(params.find(as_made=True))
    return Model(architecture.build_backbone(model, {}, factor).eval(), factor, None)


def default_scale(project: Params | None) -> int:
    """The scale of a project, or 4 outside of one."""
    return project.scale if project else _SCALE
