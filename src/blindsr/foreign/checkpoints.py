"""Networks of anyone's, from a file: weights of this project or of a public architecture, TorchScript, ONNX.

Nothing in a file is run as Python: weights are read by safetensors or by torch's weights-only unpickler, which makes
tensors and plain containers and refuses the rest. TorchScript is a program: see `torchscript`.
"""

import argparse
import pathlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor, nn

from blindsr.foreign import lookalikes, pickles, state_dicts, torchscript, wrappers
from blindsr.foreign.onnx_network import OnnxNetwork
from blindsr.model import weight_files
from blindsr.plugins.backbones.base import Backbone
from blindsr.runtime import devices, packages
from blindsr.runtime.errors import UserError, one_line

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_BUFFERS = (torch.int64, torch.int32, torch.uint8, torch.bool)
_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")  # also those of another system
_SHARED = 4  # tensors may share their numbers, so all of them may be larger than their file
_PROBE = 32  # px; side of the image that a network is tried on


def load(path: Path, scale: int, *, trust: bool = False) -> nn.Module:
    """Load the network in a file.

    What it is follows from the content: safetensors or .pth weights (of this project, of a backbone of ours under
    its public names, or of what the spandrel package knows, if it is installed), or a TorchScript archive; ONNX (with
    the onnxruntime package) from the suffix. Weights are converted to float32; TorchScript and ONNX are left as they
    are. Errors inside of a foreign network are UserErrors, too.

    Args:
        path: Path of the file.
        scale: Upscaling factor that is expected.
        trust: Run a TorchScript file without looking at its operators, and the Python file that builds the network
            of weights of this project, where it is one of the user's.

    Returns:
        The network in eval mode on the CPU: (B, 3, h, w) in [0, 1] → (B, 3, scale · h, scale · w).

    Raises:
        UserError: that names the file if it is missing, damaged, wants to run code, is of an unknown architecture or
            of another type of numbers, or upscales by another factor.
    """
    network, found = read(path, trust=trust)
    if found != scale:
        raise UserError(f"{path} upscales by {found}, not by {scale}: give --scale {found}, or other weights")
    return network


def read(path: Path, *, trust: bool = False) -> tuple[nn.Module, int]:
    """Load the network in a file, whatever its scale.

    Args:
        path: As for `load`.
        trust: Likewise.

    Returns:
        The network, as from `load`, and its upscaling factor; that of others' networks is found by trying them.

    Raises:
        UserError: as `load`, and for a network that does not upscale RGB images by a whole factor.
    """
    head = _head(path)
    if path.suffix.lower() == ".onnx":
        network: nn.Module = OnnxNetwork(path)
    elif torchscript.is_archive(path):
        if not trust:
            torchscript.require_harmless(path)
        network = _Foreign(_torchscript(path), path)
    elif head[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
        ours = weight_files.is_ours(path)
        network = weight_files.load(path, trust=trust)[0] if ours else _from_state(_read_safetensors(path), path)
    else:
        network = _from_state(_unpickled(path), path)
    if isinstance(network, Backbone):  # built with a scale: trying a large network takes a second
        return network.eval(), network.scale
    return network.eval(), _scale(network, path)


def states(path: Path) -> Iterator[dict[str, Tensor]]:
    """The state dicts in a file of weights, the most likely first; whatever network they are of.

    Args:
        path: As for `load`.

    Yields:
        Names of parameters to tensors, float32; nothing for TorchScript and ONNX.

    Raises:
        UserError: as `load` does, for a file that cannot be read.
    """
    head = _head(path)
    if path.suffix.lower() == ".onnx" or torchscript.is_archive(path):
        return
    content = _read_safetensors(path) if head[8:9] == b"{" else _unpickled(path)
    yield from (_floats(tensors, path) for tensors in wrappers.candidates(content))


def _head(path: Path) -> bytes:
    """The first bytes of a file."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a regular file: give bicubic, or a file of weights")
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}: give bicubic, or a file of weights") from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): copy or fetch it again") from None


def _unpickled(path: Path) -> Any:
    unpacked = sum(member.file_size for member in torchscript.members(path))
    if unpacked > path.stat().st_size:  # torch.save packs nothing; whoever does may pack terabytes of zeros
        raise UserError(f"{path} is refused: it is compressed, and {unpacked} bytes without; save it with torch.save")
    if pickles.is_endless(path):
        raise UserError(f"{path} is refused: it holds tuples in tuples without end, as no weights do")
    try:
        # a path's suffix would choose another reader
        with warnings.catch_warnings(), path.open("rb") as file, torch.serialization.safe_globals(_harmless()):
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the unpickler meets in a file that is something else
        called = re.search(r"GLOBAL ([\w.]+)", str(error))
        if called:
            raise UserError(
                f"{path} is refused: it wants to call {called[1]} when it is loaded, and weights alone need not; "
                "save its state dict as safetensors where you trust it"
            ) from None
        known = lookalikes.recognized(path)
        if known:
            raise UserError(f"{path} {known}") from None
        raise UserError(
            f"{path} is damaged or no weights file ({type(error).__name__}): it must be safetensors, a state dict of "
            "torch.save, TorchScript or ONNX"
        ) from None


def _harmless() -> list[Any]:
    """What numbers of numpy, paths and parsed arguments beside the weights are unpickled with: they make these alone.

    Such as the best PSNR, and where Lightning put the best checkpoint.
    """
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")}
    named = [(scalar, f"numpy.{place}.multiarray.scalar") for place in ("core", "_core")]
    paths = [(pathlib.PurePath, f"{place}.{kind}") for place in ("pathlib", "pathlib._local") for kind in _PATHS]
    return [*named, np.dtype, *kinds, argparse.Namespace, *paths]


def _from_state(content: Any, path: Path) -> nn.Module:
    """The network of the first state dict in a checkpoint that is one of ours, else of the first at all."""
    found: list[tuple[dict[str, Tensor], str]] = []
    for tensors in wrappers.candidates(content):
        state = _floats(tensors, path)
        network = state_dicts.build(state)
        if not isinstance(network, str):
            return network
        found.append((state, network))
    if not found:
        raise UserError(
            f"{path} holds no state dict: it must map parameter names to tensors, and {wrappers.described(content)}"
        )
    return _spandrel(found, path)


def _floats(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """A state dict in float32."""
    size, most = sum(value.numel() * value.element_size() for value in tensors.values()), path.stat().st_size
    if size > _SHARED * most:
        raise UserError(f"{path} is refused: its tensors are of {size} bytes, and the file of {most}")
    for name, value in tensors.items():
        parameter = name.rsplit(".", 1)[-1] in ("weight", "bias")
        if value.is_quantized or value.dtype not in (_FLOATS if parameter else _FLOATS + _BUFFERS):
            kind = str(value.dtype).removeprefix("torch.")
            raise UserError(f"{path} holds {name} as {kind}: convert its weights to float32 first")
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def _spandrel(found: list[tuple[dict[str, Tensor], str]], path: Path) -> nn.Module:
    """A network of the architectures that the spandrel package knows, of the first state dict that it knows."""
    reason = found[0][1]
    try:
        spandrel = packages.spandrel()
    except (ImportError, RuntimeError) as error:
        hint = "pip install spandrel, which knows more architectures"
        if not isinstance(error, ModuleNotFoundError):  # its torchvision must be of torch's own build
            hint = f"spandrel, which knows more, cannot be imported here ({one_line(error)})"
        raise UserError(f"{path} is of another architecture: {reason}; {hint}") from None
    said = ", and spandrel knows it neither"
    for state, _ in found:
        try:
            model = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(state))
        except spandrel.UnsupportedModelError:
            continue
        except Exception as error:  # a state dict that only looks like an architecture fails anywhere in it
            said = f"; spandrel: {one_line(error)}"
            continue
        return _Foreign(_rgb(model, spandrel.ImageModelDescriptor, path).float(), path, call=model)
    raise UserError(f"{path} is of another architecture: {reason}{said}")


def _rgb(model: Any, of_images: Any, path: Path) -> nn.Module:
    """The network of one of spandrel's models that maps RGB images to RGB images."""
    name = model.architecture.name
    if not isinstance(model, of_images):
        raise UserError(f"{path} is a {name}, which wants a mask beside the image: give a network that upscales")
    channels = (model.input_channels, model.output_channels)
    if channels != (3, 3):
        kinds = {1: "1 channel (greyscale)", 3: "3 (RGB)", 4: "4 (RGB with transparency)"}
        taken, made = (kinds.get(count, f"{count} channels") for count in channels)
        raise UserError(f"{path} is a {name} that maps {taken} to {made}: give weights for RGB images")
    network: nn.Module = model.model
    return network


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
            sr = self._call(lr.clone())  # some networks work on their input in place, and tiles share it
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
        raise UserError(f"{made}: it is not an RGB network for a whole scale such as x4")
    return scale
