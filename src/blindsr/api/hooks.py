"""The features that a penalty aligns, read from a network that is not changed."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn

from blindsr.model.taps import Taps
from blindsr.runtime.errors import UserError


class FeatureHook:
    """Keeps what enters a layer in each forward pass: the features that a penalty aligns.

    Hook a network after it was copied (for an average of weights) and before it is compiled. Inside of
    DistributedDataParallel it finds the network itself.

    Args:
        network: Any module.
        layer: Name of a submodule, as `network.named_modules()` has it, whose input is kept; with ":output" behind
            it, its output. None: the convolution that works last in a forward pass.

    Raises:
        UserError: for a layer that the network does not have.

    Example:
        >>> import blindsr, torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 3, 3))
        >>> hook = blindsr.FeatureHook(network)
        >>> sr = network(torch.rand(4, 3, 12, 12))
        >>> hook.layer, hook.features.shape
        ('2', torch.Size([4, 8, 10, 10]))
        >>> hook.close()
    """

    def __init__(self, network: nn.Module, layer: str | None = None) -> None:
        if isinstance(network, nn.parallel.DistributedDataParallel):
            network = network.module
        self._kept = _LastConvolution(network) if layer is None else _Layer(network, layer)

    @property
    def layer(self) -> str | None:
        """Name of the layer; where none was given, None before the first forward pass."""
        return self._kept.name

    @property
    def features(self) -> Tensor:
        """What entered the layer in the last forward pass, with its graph.

        Raises:
            UserError: before the first one, and after `close`.
        """
        found = self._kept.features
        if found is None:
            where = self.layer or "the network"
            raise UserError(f"nothing has passed through {where}: run the network first, with its hook open")
        return found

    def close(self) -> None:
        """Take the hook off the network; a second time, nothing happens."""
        self._kept.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Layer:
    """What passes a layer that has a name."""

    def __init__(self, network: nn.Module, name: str) -> None:
        self.name = name
        self._taps = Taps(network, [name])
        self._taps.__enter__()

    @property
    def features(self) -> Tensor | None:
        return self._taps.seen.get(self.name)

    def close(self) -> None:
        if self._taps.active:
            self._taps.__exit__(None, None, None)


class _LastConvolution:
    """What entered the convolution that worked last: modules need not be made in the order in which they work."""

    def __init__(self, network: nn.Module) -> None:
        self.name: str | None = None
        self.features: Tensor | None = None
        convolutions = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
        if not convolutions:
            raise UserError("the network has no convolution: name the layer whose input are the features")
        self._latest: tuple[str, Tensor] | None = None
        self._handles = [module.register_forward_pre_hook(self._keeper(name)) for name, module in convolutions]
        self._handles.append(network.register_forward_hook(self._whole))

    def _keeper(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def keep(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._latest = name, inputs[0]

        return keep

    def _whole(self, network: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """The whole network has run: parts of it that are called afterwards do not count."""
        if self._latest is not None:
            (self.name, self.features), self._latest = self._latest, None

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self.features = self._latest = None
