"""Networks of anyone's, from a file: weights of this project or of a public architecture, TorchScript, ONNX.

Nothing in a file is run as Python: weights are read by safetensors or by torch's weights-only unpickler, which makes
tensors and plain containers and refuses the rest.
"""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from blindsr.foreign import state_dicts
from blindsr.foreign.onnx_network import OnnxNetwork
from blindsr.model import weight_files
from blindsr.runtime import devices
from blindsr.runtime.errors import UserError, one_line

_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")  # in order of preference
_PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and torch.compile
_COUNTER = "n_averaged"  # of torch's AveragedModel, beside the weights under "module."
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_BUFFERS = (torch.int64, torch.int32, torch.bool)
_PROBE = 32  # px; side of the image that a network is tried on


def load(path: Path, scale: int) -> nn.Module:
    """Load the network in a file.

    What it is follows from the content: safetensors or .pth weights (of this project, of a backbone of ours under
    its public names, or of what the spandrel package knows, if it is installed), or a TorchScript archive; ONNX (with
    the onnxruntime package) from the suffix. Weights are converted to float32; TorchScript and ONNX are left as they
    are. Errors inside of a foreign network are UserErrors, too.

    Args:
        path: Path of the file.
        scale: Upscaling factor that is expected.

    Returns:
        The network in eval mode on the CPU: (B, 3, h, w) in [0, 1] → (B, 3, scale · h, scale · w).

    Raises:
        UserError: that names the file if it is missing, damaged, wants to run code, is of an unknown architecture or
            of another type of numbers, or upscales by another factor.
    """
    network, found = read(path)
    if found != scale:
        raise UserError(f"{path} upscales by {found}, not by {scale}: give --scale {found}, or other weights")
    return network


def read(path: Path) -> tuple[nn.Module, int]:
    """Load the network in a file, whatever its scale.

    Args:
        path: As for `load`.

    Returns:
        The network, as from `load`, and its upscaling factor, found by trying it.

    Raises:
        UserError: as `load`, and for a network that does not upscale RGB images by a whole factor.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}: give bicubic, or a file of weights") from None
    if path.suffix.lower() == ".onnx":
        network: nn.Module = OnnxNetwork(path)
    elif _is_torchscript(path):
        network = _Foreign(_torchscript(path), path)
    elif head[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
        state = _read_safetensors(path)
        network = weight_files.load(path)[0] if state is None else _from_state(state, path)
    else:
        network = _from_state(_unpickled(path), path)
    return network.eval(), _scale(network, path)


def _read_safetensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file, or None if it is one of this project's."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            if weight_files.KEY in (file.metadata() or {}):
                return None
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): copy or fetch it again") from None


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings(), path.open("rb") as file:  # a path's suffix would choose another reader
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the unpickler meets in a file that is something else
        called = re.search(r"GLOBAL ([\w.]+)", str(error))
        if called:
            raise UserError(
                f"{path} is refused: it wants to call {called[1]} when it is loaded, and weights alone need not; "
                "save its state dict as safetensors where you trust it"
            ) from None
        raise UserError(
            f"{path} is damaged or no weights file ({type(error).__name__}): it must be safetensors, a state dict of "
            "torch.save, TorchScript or ONNX"
        ) from None


def _from_state(content: Any, path: Path) -> nn.Module:
    state = _unwrapped(content, path)
    network = state_dicts.build(state)
    return _spandrel(state, path, network) if isinstance(network, str) else network


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside of what training codes save around it, in float32."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = isinstance(content, Mapping) and {k: v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise UserError(f"{path} holds no state dict: it must map parameter names to tensors")
    tensors.pop(_COUNTER, None)
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    for name, value in tensors.items():
        parameter = name.rsplit(".", 1)[-1] in ("weight", "bias")
        if value.is_quantized or value.dtype not in (_FLOATS if parameter else _FLOATS + _BUFFERS):
            kind = str(value.dtype).removeprefix("torch.")
            raise UserError(f"{path} holds {name} as {kind}: convert its weights to float32 first")
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def _spandrel(state: dict[str, Tensor], path: Path, reason: str) -> nn.Module:
    """A network of the architectures that the spandrel package knows."""
    try:
        import spandrel
    except (ImportError, RuntimeError) as error:
        hint = "pip install spandrel, which knows more architectures"
        if not isinstance(error, ModuleNotFoundError):  # its torchvision must be of torch's own build
            hint = f"spandrel, which knows more, cannot be imported here ({one_line(error)})"
        raise UserError(f"{path} is of another architecture: {reason}; {hint}") from None
    try:
        model = spandrel.ModelLoader(device="cpu").load_from_state_dict(state)
    except spandrel.UnsupportedModelError:
        raise UserError(f"{path} is of another architecture: {reason}, and spandrel knows it neither") from None
    except Exception as error:  # a state dict that only looks like an architecture fails anywhere in it
        raise UserError(f"{path} is of another architecture: {reason}; spandrel: {one_line(error)}") from None
    if not isinstance(model, spandrel.ImageModelDescriptor) or (model.input_channels, model.output_channels) != (
        3,
        3,
    ):
        raise UserError(f"{path} is a {model.architecture.name} that does not map RGB images to RGB images")
    return _Foreign(model.model.float(), path, call=model)


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False
    return any("/code/" in name for name in names) and any(name.endswith("/constants.pkl") for name in names)


def _torchscript(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: nn.Module = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path} is a damaged TorchScript file ({one_line(error)}): export it again") from None
    return module


class _Foreign(nn.Module):
    """A network whose errors name its file."""

    def __init__(self, network: nn.Module, path: Path, call: Any = None) -> None:
        """`call`, where there is one, is what is called instead of `network`, whose parameters it uses."""
        super().__init__()
        self.network = network
        self._path, self._call = path, call or network
        if not any(parameter.is_floating_point() for parameter in network.parameters()):
            self.anchor = nn.Parameter(torch.zeros(()))  # says where a frozen script, which has none, is to run

    def forward(self, lr: Tensor) -> Tensor:
        try:
            sr = self._call(lr)
        except (RuntimeError, ValueError, TypeError) as error:
            if devices.out_of_memory(error):
                raise
            size = f"{lr.shape[3]}×{lr.shape[2]}"
            raise UserError(f"{self._path} fails on an LR image of {size} pixels ({one_line(error)})") from None
        if not isinstance(sr, Tensor):
            raise UserError(f"{self._path} returns a {type(sr).__name__} instead of one batch of images")
        return sr


def _scale(network: nn.Module, path: Path) -> int:
    with torch.inference_mode():
        own = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
        shape = tuple(network.eval()(torch.zeros(1, 3, _PROBE, _PROBE, dtype=own)).shape)
    scale: int = shape[-1] // _PROBE
    if not scale or shape != (1, 3, scale * _PROBE, scale * _PROBE):
        made = f"{path} makes {shape} of an LR image (1, 3, {_PROBE}, {_PROBE})"
        raise UserError(f"{made}: it is no RGB network for a whole scale such as x4")
    return scale
