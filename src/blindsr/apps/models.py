"""The networks that the apps are told to take: a trained cell by its name, bicubic, or anyone's file."""

from pathlib import Path

from torch import nn

from blindsr.config.params import BICUBIC
from blindsr.foreign import checkpoints
from blindsr.model import networks
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError


def weights_of(cell: str) -> Path:
    """models/<cell>.safetensors. Raises UserError that lists the cells that are there."""
    path = paths.MODELS / f"{cell}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in paths.MODELS.glob("*-*-*.safetensors"))) or "none yet"
        raise UserError(f"{cell} is no file and no trained cell of {paths.MODELS}/ ({known}): run `make repro`")
    return path


def read(model: str, bicubic_scale: int = 4) -> tuple[nn.Module, int, Path | None]:
    """The network of a cell, "bicubic", or a file that `checkpoints.read` knows; its scale; its file if it has one.

    Raises UserError as `weights_of` and `checkpoints.read` do.
    """
    if model == BICUBIC:
        return networks.build_backbone(BICUBIC, {}, bicubic_scale).eval(), bicubic_scale, None
    path = Path(model)
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise UserError(f"{model}: no such file; give weights, ONNX, TorchScript, bicubic or the name of a cell")
        path = weights_of(model)
    network, scale = checkpoints.read(path)
    return network, scale, path
