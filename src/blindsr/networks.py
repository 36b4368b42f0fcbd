"""A backbone and a regularizer as one trainable module, and trained weights on disk."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from blindsr import files, plugins
from blindsr.backbones._blocks import Backbone
from blindsr.errors import UserError
from blindsr.regularizers._blocks import Regularizer

KEY = "blindsr"  # the one metadata key of a weights file: the order of several is not kept


class Prediction(NamedTuple):
    """What a training step needs of a forward pass."""

    sr: Tensor
    """(B, 3, sH, sW): the views in the order in which they came."""
    features: Tensor
    """(B, C, sH, sW): what enters the last convolution, before any perturbation."""
    penalty: Tensor
    """Scalar penalty of the regularizer, not weighted; 0 for one view."""


class Network(nn.Module):
    """A backbone whose features a regularizer perturbs or aligns while training.

    `views` is the number of degraded views that the regularizer wants of each patch.
    """

    def __init__(self, backbone: Backbone, regularizer: Regularizer) -> None:
        """Both as their plug-in's `build` returns them."""
        super().__init__()
        self.backbone = backbone
        self.regularizer = regularizer
        self.views = regularizer.views

    def forward(self, lr: Tensor) -> Prediction:
        """`lr` (views·N, 3, h, w) in [0, 1], all first views and then all second ones."""
        features = self.backbone.features(lr)
        sr = self.backbone.reconstruct(self.regularizer.perturb(features), lr)
        if self.views == 2:
            penalty = self.regularizer.penalty(*features.chunk(2))
        else:
            penalty = sr.new_zeros(())
        return Prediction(sr, features, penalty)


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


def build_backbone(name: str, hyper: dict[str, Any], scale: int) -> Backbone:
    """Backbone `name`. Raises UserError for an unknown name or setting, or a value that `build` refuses."""
    backbone: Backbone = _build("backbone", name, {"scale": scale, **hyper})
    return backbone


def build_regularizer(name: str, hyper: dict[str, Any]) -> Regularizer:
    """Regularizer `name`. Raises UserError for an unknown name or setting, or a value that `build` refuses."""
    regularizer: Regularizer = _build("regularizer", name, hyper)
    return regularizer


def save(backbone: nn.Module, info: WeightsInfo, path: Path) -> None:
    """Write the backbone's weights (float32 safetensors, public state-dict names) atomically."""
    state = {key: value.detach().cpu().contiguous() for key, value in backbone.state_dict().items()}
    metadata = {KEY: json.dumps(info.model_dump(), sort_keys=True)}
    files.write_atomic(path, safetensors.torch.save(state, metadata))


def load(path: Path) -> tuple[Backbone, WeightsInfo]:
    """Read what `save` wrote: the backbone in eval mode on the CPU, and the file's description.

    Floats of another precision are widened or rounded to float32. Raises UserError that names the file if it is
    missing, damaged, not of this project, or holds other numbers or shapes than its network has.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            info = WeightsInfo.model_validate_json((file.metadata() or {})[KEY])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro`, or `dvc pull` to fetch it") from None
    except (safetensors.SafetensorError, KeyError, ValidationError, OSError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise UserError(f"{path} holds no weights of this project ({reason}): train or fetch it anew") from None
    try:
        backbone = build_backbone(info.backbone, info.hyper, info.scale)
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


def _build(kind: str, name: str, settings: dict[str, Any]) -> Any:
    build = plugins.load(kind, name)
    try:
        return build(**settings)
    except (TypeError, ValueError) as error:
        raise UserError(f"{kind} {name!r}: {error}") from None


def count_parameters(module: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(backbone: nn.Module, height: int, width: int) -> int:
    """Floating-point operations (two per multiply-add) of one forward pass on an LR image of the given size."""
    from torch.utils.flop_counter import FlopCounterMode

    device = next((parameter.device for parameter in backbone.parameters()), torch.device("cpu"))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(torch.zeros(1, 3, height, width, device=device))
    return int(counter.get_total_flops())
