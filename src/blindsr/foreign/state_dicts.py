"""Which backbone of ours a public checkpoint fits: by its parameters' names, with settings read off their shapes.

The backbones keep the names of BasicSR's RRDBNet and MSRResNet, of SwinIR and of MSRN, so that published weights
load as they are; the names of older ESRGAN and MMSR releases are translated.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from blindsr.model import architecture
from blindsr.runtime.errors import UserError, one_line

State = Mapping[str, Tensor]

# models/RRDBNet_arch.py of ESRGAN and MMSR; MSRResNet of MMSR
_MMSR = (
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
    (r"recon_trunk\.", "body."),
    (r"trunk_conv\.", "conv_body."),
    (r"HRconv\.", "conv_hr."),
)
_MMSR_RRDB = ((r"upconv(\d)\.", r"conv_up\1."),)
# the first release of ESRGAN numbers its layers
_NUMBERED = (
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"model\.1\.sub\.\d+\.(?=weight|bias)", "conv_body."),
    (r"model\.0\.", "conv_first."),
    (r"model\.3\.", "conv_up1."),
    (r"model\.6\.", "conv_up2."),
    (r"model\.8\.", "conv_hr."),
    (r"model\.10\.", "conv_last."),
)


class _Plan(NamedTuple):
    backbone: str
    hyper: dict[str, Any]
    scale: int


def build(state: State) -> nn.Module | str:
    """Build the backbone that a state dict fits.

    Args:
        state: Parameter names -> tensors, without the wrappers and prefixes of training codes.

    Returns:
        The network in eval mode with these weights, or one line that says why none of ours fits.
    """
    state = _translated(state)
    for marker, read in _READERS.items():
        if marker in state:
            try:
                plan = read(state)
                backbone = architecture.build_for(state, plan.backbone, plan.hyper, plan.scale)
                backbone.load_state_dict(dict(state))
            except (UserError, RuntimeError, KeyError, IndexError, ValueError, ZeroDivisionError) as error:
                reason = f"no {error}" if isinstance(error, KeyError) else one_line(error)
                return f"it looks like {read.__name__.strip('_')}, but does not fit: {reason}"
            return backbone.eval()
    first = next(iter(state), "nothing")
    known = ", ".join(sorted(read.__name__.strip("_") for read in _READERS.values()))
    return f"its parameters ({first}, …) are those of no backbone here ({known})"


def _translated(state: State) -> State:
    rules: tuple[tuple[str, str], ...] = ()
    if "model.1.sub.0.RDB1.conv1.0.weight" in state:
        rules = _NUMBERED
    elif "RRDB_trunk.0.RDB1.conv1.weight" in state:
        rules = _MMSR + _MMSR_RRDB
    elif "recon_trunk.0.conv1.weight" in state:
        rules = _MMSR
    return {_rename(name, rules): value for name, value in state.items()}


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, new in rules:
        if re.match(pattern, name):
            return re.sub(f"^{pattern}", new, name)
    return name


_SCALES = {3: 4, 12: 2, 48: 1}  # channels of an RRDBNet's first convolution: smaller scales fold pixels into them


def _rrdb(state: State) -> _Plan:
    features, growth = state["conv_first.weight"].shape[0], state["body.0.rdb1.conv1.weight"].shape[0]
    hyper = {"num_blocks": _count(state, r"body\.(\d+)\."), "num_features": features, "growth": growth}
    channels = state["conv_first.weight"].shape[1]
    if channels not in _SCALES:
        raise ValueError(f"conv_first takes {channels} channels, and only 3 (×4), 12 (×2) and 48 (×1) are known")
    return _Plan("rrdb", hyper, _SCALES[channels])


def _srresnet(state: State) -> _Plan:
    features = state["conv_first.weight"].shape[0]
    hyper = {"num_blocks": _count(state, r"body\.(\d+)\."), "num_features": features}
    return _Plan("srresnet", hyper, _shuffled(state, ["upconv1.weight", "upconv2.weight"], features))


def _msrn(state: State) -> _Plan:
    features = state["head.0.weight"].shape[0]
    hyper = {"num_blocks": _count(state, r"body\.(\d+)\."), "num_features": features}
    return _Plan("msrn", hyper, _shuffled(state, ["tail.2.0.weight", "tail.2.2.weight"], features))


def _swinir(state: State) -> _Plan:
    groups = range(_count(state, r"layers\.(\d+)\."))
    dim = state["conv_first.weight"].shape[0]
    block = "layers.0.residual_group.blocks.0"
    heads = [state[f"layers.{i}.residual_group.blocks.0.attn.relative_position_bias_table"].shape[1] for i in groups]
    offsets = state[f"{block}.attn.relative_position_bias_table"].shape[0]  # (2 · window - 1)²
    nearest = "conv_up1.weight" in state
    hyper = {
        "depths": [_count(state, rf"layers\.{i}\.residual_group\.blocks\.(\d+)\.") for i in groups],
        "num_heads": heads,
        "dim": dim,
        "window_size": (int(offsets**0.5) + 1) // 2,
        "mlp_ratio": state[f"{block}.mlp.fc1.weight"].shape[0] / dim,
        "upsampler": "nearest+conv" if nearest else "pixelshuffle",
    }
    if nearest:
        return _Plan("swinir", hyper, 4 if "conv_up2.weight" in state else 2)
    scale = _shuffled(state, ["upsample.0.weight", "upsample.2.weight"], 64)
    return _Plan("swinir", hyper, scale)


# a parameter that one architecture alone has -> how its settings are read
_READERS: dict[str, Callable[[State], _Plan]] = {
    "body.0.rdb1.conv1.weight": _rrdb,
    "body.0.conv_3_1.weight": _msrn,
    "body.0.conv1.weight": _srresnet,
    "layers.0.residual_group.blocks.0.attn.qkv.weight": _swinir,
}


def _count(state: State, pattern: str) -> int:
    return len({found[1] for name in state if (found := re.match(pattern, name))})


def _shuffled(state: State, names: list[str], channels: int) -> int:
    """Scale of an upsampler whose convolutions feed pixel shuffles."""
    scale = 1
    for name in names:
        if name in state:
            scale *= round((state[name].shape[0] / channels) ** 0.5)
    return scale
