"""Weights that training starts from, where `train.init_from` names a file."""

from pathlib import Path

from torch import Tensor, nn

from blindsr.foreign import checkpoints
from blindsr.plugins.backbones.base import Backbone
from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError


def digest(init_from: str | None) -> str | None:
    """Hash the file of `train.init_from`: a training depends on what it holds, not on where it lies.

    Args:
        init_from: Path, as `paths.of_user` takes it; None: no file.

    Returns:
        SHA-256 as 64 hexadecimal digits, or None.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    if init_from is None:
        return None
    try:
        return files.sha256(_path(init_from))
    except OSError as error:
        raise UserError(f"train.init_from {init_from} cannot be read: {error.strerror}") from None


def start_from(backbone: Backbone, init_from: str | None, scale: int) -> None:
    """Give a backbone the weights in a file.

    Args:
        backbone: Changed in place.
        init_from: As for `digest`; of this project, or a public checkpoint of the same architecture. None: nothing is
            done.
        scale: Upscaling factor of the backbone.

    Raises:
        UserError: if the file is missing, as `checkpoints.load` does, and for another architecture or other sizes,
            with both named.
    """
    if init_from is None:
        return
    own = _inner(backbone)
    if own is not backbone and (state := _fitting(own, _path(init_from))):
        own.load_state_dict(state)
        return
    other = _inner(checkpoints.load(_path(init_from), scale))
    wanted, given = own.state_dict(), other.state_dict()
    odd = next((key for key in [*wanted, *given] if _shape(wanted, key) != _shape(given, key)), None)
    name = type(backbone).__module__.rsplit(".", 1)[-1]
    if odd and type(own) is not type(other):
        raise UserError(
            f"train.init_from {init_from} holds {_called(other)} and not {_called(own)}: train that backbone, or "
            "clear it"
        )
    if odd:
        sizes = f"{odd} is {_shape(given, odd)} in the file and {_shape(wanted, odd)} in the settings"
        raise UserError(f"train.init_from {init_from} holds another {name} ({sizes}): adapt backbone.hyper.{name}")
    backbone.load_state_dict(given)


def require_unchanged(record: Path, sha256: str | None) -> None:
    """Refuse to go on with another file of `train.init_from` than a training began with.

    The trained network would come from neither of the two.

    Args:
        record: File in which the hash is noted.
        sha256: What `digest` returns now; None: nothing is checked or noted.

    Raises:
        UserError: if another hash is noted.
    """
    if sha256 is None:
        return
    if record.exists() and record.read_text("utf-8", "replace") != sha256:
        raise UserError(
            f"the file of train.init_from has changed since this training began: put it back, or delete {record} "
            "to begin anew"
        )
    files.write_atomic(record, sha256)


def forget(record: Path) -> None:
    """Remove what `require_unchanged` noted, once the training has ended."""
    record.unlink(missing_ok=True)


def _path(init_from: str) -> Path:
    """Relative to the project's root, also in the temporary copies in which DVC runs experiments."""
    path = paths.of_user(init_from)
    if not path.is_file():
        raise UserError(
            f"train.init_from {init_from} is not a file: weights in models/ come and go with experiments, give those "
            "that `blindsr export` writes, or another path"
        )
    return path


def _inner(network: nn.Module) -> nn.Module:
    """The network of another library itself, without what it is wrapped into here."""
    return getattr(network, "network", network)


def _fitting(network: nn.Module, path: Path) -> dict[str, Tensor] | None:
    """A state dict in a file that has every name and shape of a network's own."""
    own = {name: value.shape for name, value in network.state_dict().items()}
    states = checkpoints.states(path)
    return next((state for state in states if {name: value.shape for name, value in state.items()} == own), None)


def _called(network: nn.Module) -> str:
    """Name of one of our backbones, or of another library's class."""
    place, _, name = type(network).__module__.rpartition(".")
    return name if place == "blindsr.plugins.backbones" else type(network).__name__


def _shape(state: dict[str, Tensor], key: str) -> str:
    return "×".join(str(side) for side in state[key].shape) if key in state else "absent"
