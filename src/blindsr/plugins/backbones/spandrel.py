"""Any network of the spandrel package, or of a file of yours, as a backbone.

spandrel (chaiNNer-org, https://github.com/chaiNNer-org/spandrel) holds the public code of some forty architectures.
They are used as they are: what a backbone has to say of itself is found by running the network.
"""

import copy
import importlib
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from blindsr.plugins.backbones.base import Backbone, pad_to_multiple, require_scale
from blindsr.runtime import packages
from blindsr.runtime.errors import UserError, one_line

_SCALE = ("scale", "upscale", "up_scale", "upscaling_factor", "upscale_factor")
"""What architectures call the upscaling factor."""
_CHANNELS = (
    "in_chans", "in_channels", "in_nc", "in_ch", "num_in_ch", "inp_channels", "img_channel", "n_colors",
    "out_chans", "out_channels", "out_nc", "out_ch", "num_out_ch",
)  # fmt: skip
"""What they call the number of colours."""
_LARGEST = 4096  # of a whole number: a slip of the keyboard would take all memory
_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)  # px that the sides of a network's input may have to be multiples of
_PROBE = 40  # px; least side of the images that a network is tried on


def build(*, scale: int = 4, architecture: str = "PLKSR", **settings: Any) -> Backbone:
    """Build an architecture of spandrel, or of a file, and find its layers.

    `last` is the convolution that makes the image, also before a pixel shuffle: the last one to run whose output has
    3·k² channels, for a k that divides the scale, and whose input is no image. `blocks` are the parts of one module,
    all of one kind, that hold the most parameters. Images whose sides the network does not take (it works in windows,
    or has a smallest size) are extended by reflection, and the result is cut. The state dict has the names of the
    network itself, so that its public weights fit.

    Args:
        scale: 2, 3 or 4, if the architecture has it.
        architecture: Name of a class of spandrel's, such as PLKSR, HAT or SPAN (docs/architectures.md lists those
            that work), or a function in a Python file, such as "path/to/net.py:build". It gets the scale if it has a
            parameter `scale` (or `upscale`, …), and returns a module (B, 3, h, w) -> (B, 3, scale · h, scale · w).
        **settings: Keyword arguments of the class or function, such as dim=64; its own defaults where they are left
            out, but "pixelshuffle" for an `upsampler` whose default is none. Colours are always three.

    Raises:
        ValueError: for an unknown architecture, settings that it does not take, or a network that does not upscale
            RGB images by the scale.
        UserError: if spandrel is not installed, or the file is missing or fails.
    """
    require_scale(scale, 2, 3, 4)
    if not isinstance(architecture, str):
        raise ValueError(f"architecture must be a name, such as PLKSR, not {architecture!r}")
    own = packages.own_file(architecture) is not None
    make = packages.own_function(architecture) if own else _class(architecture)
    arguments = _arguments(make, architecture, scale, settings)
    if not own:
        for name, value in _integers(settings):
            if value > _LARGEST:
                raise ValueError(f"{name} must be at most {_LARGEST}, not {value}")
    return _Adapted(_made(make, architecture, arguments), architecture, scale).to(torch.get_default_device())


class _Adapted(Backbone):
    """A network that says where its layers are, and takes images of any size; its state dict is the network's."""

    def __init__(self, network: nn.Module, architecture: str, scale: int) -> None:
        super().__init__(scale)
        probe = _Probe(network, architecture, scale)
        self.network = network
        self.least, self.multiple = probe.least, probe.multiple
        self.last = f"network.{probe.last}" if probe.last else ""
        self.blocks = [f"network.{name}" for name in probe.blocks]
        self.register_load_state_dict_pre_hook(_inwards)

    def forward(self, lr: Tensor) -> Tensor:
        height, width = lr.shape[2:]
        padded = pad_to_multiple(lr, self.least if min(height, width) < self.least else self.multiple)
        # a copy: some networks work on their input in place
        return _image(self.network(padded.clone() if padded is lr else padded))[
            :, :, : height * self.scale, : width * self.scale
        ]

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.state_dict(*args, **kwargs)


def _inwards(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: the names of the network's own state dict become those of this module's part."""
    for key in [key for key in state if key.startswith(prefix)]:
        state[f"{prefix}network.{key.removeprefix(prefix)}"] = state.pop(key)


def _image(made: Any) -> Any:
    """The SR images; some networks return more beside them."""
    return made[0] if isinstance(made, tuple | list) and made else made


class _Probe:
    """What is found by running a copy of a network, on a device that has shapes and no memory where that works."""

    def __init__(self, network: nn.Module, architecture: str, scale: int) -> None:
        self._scale = scale
        self._name = architecture
        self._copies = {"meta": copy.deepcopy(network).eval().to("meta"), "cpu": copy.deepcopy(network).eval()}
        self.multiple, self.least = self._sizes()
        side = max(self.least, -(-_PROBE // self.multiple) * self.multiple)
        self.last, order = self._run(side)
        self.blocks = _blocks(network, order)

    def _sizes(self) -> tuple[int, int]:
        """Of what the sides of an image must be multiples, and the smallest side."""
        reason = ""
        for multiple in _MULTIPLES:
            count = math.ceil(_PROBE / multiple) // 2 * 2 + 1  # odd: no multiple of twice as much
            failed = self._fails(multiple * count, multiple * (count + 2))
            if not failed:
                sides = (multiple * 2**power for power in itertools.count())
                return multiple, next(s for s in sides if s >= multiple * count or not self._fails(s, s))
            reason = reason if "instead of" in reason else failed
        raise ValueError(f"{self._name} cannot upscale RGB images by {self._scale} with these settings: {reason}")

    def _fails(self, height: int, width: int) -> str:
        """Why the network does not take an image of this size, in one line; nothing if it does."""
        wanted = (1, 3, height * self._scale, width * self._scale)
        try:
            made = self._forward(height, width)
        except Exception as error:  # whatever code of others meets
            return f"on {width}×{height} px it fails ({one_line(error)})"
        if not isinstance(made, Tensor):
            return f"it makes a {type(made).__name__} instead of images"
        found = tuple(made.shape)
        return "" if found == wanted else f"of {width}×{height} px it makes {found} instead of {wanted}"

    def _forward(self, height: int, width: int) -> Any:
        """Run a copy; a network that looks at values, and not at shapes alone, cannot do without memory."""
        try:
            return self._forward_on("meta", height, width)
        except Exception:  # whatever code of others meets
            return self._forward_on("cpu", height, width)

    def _forward_on(self, device: str, height: int, width: int) -> Any:
        with torch.device(device), torch.no_grad():
            return _image(self._copies[device](torch.zeros(1, 3, height, width)))

    def _run(self, side: int) -> tuple[str, list[str]]:
        """Name of the last convolution, and of every module that made a tensor of one, in the order of the ends."""
        order: list[str] = []
        images: list[str] = []

        def ran(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
                if inputs and isinstance(inputs[0], Tensor) and isinstance(_image(output), Tensor):
                    order.append(name)
                    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and inputs[0].shape[1] > 3:
                        sides = {3 * k**2: k for k in range(1, self._scale + 1) if self._scale % k == 0}
                        k = sides.get(output.shape[1])
                        if k and output.shape[2] * k >= side * self._scale:
                            images.append(name)

            return hook

        for network in self._copies.values():
            for name, module in network.named_modules():
                module.register_forward_hook(ran(name))
        self._forward(side, side)
        return (images[-1] if images else ""), order


def _blocks(network: nn.Module, order: list[str]) -> list[str]:
    """Names of the parts of one module, all of one kind and each run once, that hold the most parameters.

    Plain layers are blocks only in a network that has no others, as in a chain of convolutions.
    """
    best: list[str] = []
    most = (False, 0)
    todo = [("", network)]
    while todo:
        prefix, module = todo.pop(0)
        kinds: dict[Any, list[str]] = {}
        for name, part in module.named_children():
            kinds.setdefault(_kind(part), []).append(f"{prefix}{name}")
        groups = [
            group for group in kinds.values() if len(group) > 1 and all(order.count(name) == 1 for name in group)
        ]
        for group in groups:
            parts = [network.get_submodule(name) for name in group]
            size = sum(parameter.numel() for part in parts for parameter in part.parameters())
            rank = (any(parts[0].children()), size)
            if size and rank > most:
                best, most = sorted(group, key=order.index), rank
        inside = {name for group in groups for name in group}  # blocks are not looked for in blocks
        todo += [(f"{prefix}{name}.", part) for name, part in module.named_children() if prefix + name not in inside]
    return best


def _kind(part: nn.Module) -> Any:
    """What equal parts of a network have in common: their class, and plain layers and lists of them also their shape.

    Blocks of one class need not have one depth.
    """
    shapes = [parameter.shape for parameter in part.parameters()]
    inside = [type(child) for child in part.children()]
    plain = not inside or isinstance(part, nn.Sequential | nn.ModuleList)
    return (type(part), *inside, *shapes) if plain else type(part)


def _class(architecture: str) -> Callable[..., Any]:
    """The class of spandrel's that has this name."""
    packages.require("spandrel", "backbone spandrel")
    try:
        spandrel = packages.spandrel()
    except (ImportError, RuntimeError) as error:
        raise UserError(f"backbone spandrel: the package cannot be imported here ({one_line(error)})") from None
    known = dict(classes(spandrel))
    if architecture not in known:
        raise ValueError(f"there is no architecture {architecture!r}: choose one of {', '.join(sorted(known))}")
    return known[architecture]


def classes(spandrel: Any) -> Iterator[tuple[str, type[nn.Module]]]:
    """Every network of the spandrel package, by name.

    Args:
        spandrel: The package.

    Yields:
        Names and classes, in no order.
    """
    for support in spandrel.MAIN_REGISTRY.architectures("insertion"):
        module = importlib.import_module(type(support.architecture).__module__)
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found) and issubclass(found, nn.Module):
                yield name, found


def _arguments(
    make: Callable[..., Any], architecture: str, scale: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The keyword arguments of a class or function: what the user set, the scale, three colours."""
    parameters = inspect.signature(make).parameters
    free = [name for name, p in parameters.items() if name not in _SCALE + _CHANNELS and p.kind is not p.VAR_KEYWORD]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        wrong = next((name for name in settings if name not in free), None)
        if wrong:
            choices = ", ".join(free) or "none at all"
            raise ValueError(f"architecture {architecture} has no setting {wrong!r}: choose from {choices}")
    given: dict[str, Any] = {name: 3 for name in _CHANNELS if name in parameters}
    for name in _SCALE:
        if name in parameters:
            given[name] = [scale] if isinstance(parameters[name].default, list | tuple) else scale
    if "upsampler" in parameters and parameters["upsampler"].default == "":
        given["upsampler"] = "pixelshuffle"
    return given | dict(settings)


def _made(make: Callable[..., Any], architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """What it makes, on the CPU: many architectures look at values while they are built."""
    try:
        with torch.device("cpu"):
            network = make(**arguments)
    except Exception as error:  # whatever code of others meets
        raise ValueError(
            f"architecture {architecture} refuses its settings ({type(error).__name__}: {one_line(error)})"
        ) from None
    if not isinstance(network, nn.Module):
        raise ValueError(f"{architecture} returns a {type(network).__name__} instead of a network")
    return network


def _integers(settings: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """All whole numbers in settings, however deep, by the name of the setting."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from _integers(value, name or str(key))
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _integers(value, name)
    elif isinstance(settings, int):
        yield name, settings
