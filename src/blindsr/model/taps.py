"""Reading and changing what passes through named layers of a network, by hooks: the network itself is not edited."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from blindsr.runtime.errors import UserError

_OUTPUT = ":output"
Change = Callable[[str, Tensor], Tensor]


class Taps:
    """Hooks on layers of a network, there inside of `with taps:`.

    After each forward pass `seen` has what passed them, by the names that were given. Works under autocast, in
    DistributedDataParallel and in torch.compile (enter the block before the first call of what is compiled).
    """

    def __init__(self, network: nn.Module, names: Sequence[str], change: Change | None = None) -> None:
        """Nothing is hooked yet.

        Args:
            network: Names its layers by the attributes `last` and `blocks`, as `plugins.backbones.base` says.
            names: "last", "blocks.I" (I may be negative) or a submodule's name: its input; with ":output" behind,
                its output, of several the first.
            change: Gets a name and what passes there, and returns what the network continues with.

        Raises:
            UserError: for a name that the network does not have.
        """
        self.seen: dict[str, Tensor] = {}
        self._change = change
        self._layers = {name: resolve(network, name.removesuffix(_OUTPUT)) for name in names}
        self._hooks: ExitStack | None = None

    @property
    def active(self) -> bool:
        """Whether the hooks are there."""
        return self._hooks is not None

    def __enter__(self) -> Self:
        with ExitStack() as hooks:
            for name, layer in self._layers.items():
                if name.endswith(_OUTPUT):
                    handle = layer.register_forward_hook(self._output_hook(name))
                else:
                    handle = layer.register_forward_pre_hook(self._input_hook(name))
                hooks.callback(handle.remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._hooks is not None
        self._hooks.close()
        self._hooks = None
        self.seen.clear()

    def _input_hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...] | None]:
        def hook(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            self.seen[name] = inputs[0]
            return None if self._change is None else (self._change(name, inputs[0]), *inputs[1:])

        return hook

    def _output_hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor | None]:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            first, *others = output if isinstance(output, tuple) else (output,)
            self.seen[name] = first
            if self._change is None:
                return None
            changed = self._change(name, first)
            return (changed, *others) if isinstance(output, tuple) else changed

        return hook


def resolve(network: nn.Module, name: str) -> nn.Module:
    """Find the submodule that a name of `Taps` means.

    Args:
        network: As for `Taps`.
        name: As for `Taps`, without ":output".

    Returns:
        The submodule itself.

    Raises:
        UserError: if there is none.
    """
    path = name
    if name == "last":
        named = getattr(network, "last", "")
        path = named if isinstance(named, str) else name  # somebody's module may be called so itself
    elif name.startswith("blocks."):
        blocks, number = list(getattr(network, "blocks", ())), name.removeprefix("blocks.")
        if number.lstrip("-").isdecimal() and -len(blocks) <= int(number) < len(blocks):
            path = blocks[int(number)]
        elif blocks:
            raise UserError(f"there is no layer {name}: the network has {len(blocks)} blocks, blocks.0 to blocks.-1")
    try:
        if path:
            return network.get_submodule(path)
    except AttributeError:
        pass
    known = [key for key, _ in network.named_modules() if key]
    raise UserError(
        f"the network has no layer {name!r}: choose last, blocks.0 … or one of its modules, such as "
        f"{', '.join(known[:3]) or 'none at all'}"
    )


def read(network: nn.Module, lr: Tensor, names: Sequence[str] = ("last",)) -> tuple[Tensor, dict[str, Tensor]]:
    """One forward pass, and what passed through some layers.

    Args:
        network: As for `Taps`.
        lr: LR images (B, 3, h, w) in [0, 1].
        names: As for `Taps`; by default the features that enter the last convolution.

    Returns:
        SR images (B, 3, s·h, s·w), not clamped, and name -> tensor.
    """
    with Taps(network, names) as taps:
        sr = network(lr)
        seen = dict(taps.seen)
    assert isinstance(sr, torch.Tensor)
    return sr, seen
