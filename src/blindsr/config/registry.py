"""Plug-ins are modules found by name: dropping a file into a folder of `blindsr.plugins` adds one.

A module whose name ends with an underscore is a family: it makes every plug-in whose name begins like that, and is
told which, as `pyiqa_.py` makes the metrics `pyiqa_dists` and `pyiqa_niqe`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from blindsr.runtime.errors import UserError

# Packages by name, not imports: what the settings may name is known here, below the plug-ins themselves.
_PACKAGES = {
    "backbone": "blindsr.plugins.backbones",
    "degradation": "blindsr.plugins.degradations",
    "regularizer": "blindsr.plugins.regularizers",
    "loss": "blindsr.plugins.losses",
    "metric": "blindsr.plugins.metrics",
}
# Arguments of `build` that the house gives to whoever asks for them: no settings of the plug-in's own.
_OFFERED = ("scale", "crop_border", "max_shift", "trunk", "device", "download")
_SHARED = "base"  # the module of each kind that holds its base class


class Refused(UserError):
    """A setting, or its value, that a plug-in's `build` does not take."""


def names(kind: str) -> list[str]:
    """Names of the plug-ins of a kind, sorted, without those that a family makes; none of them is imported.

    Args:
        kind: "backbone", "degradation", "regularizer", "loss" or "metric".
    """
    return [name for name in _modules(kind) if not name.endswith("_")]


def families(kind: str) -> list[str]:
    """What the names of plug-ins begin with that a family makes, such as "pyiqa_", sorted.

    Args:
        kind: As for `names`.
    """
    return [name for name in _modules(kind) if name.endswith("_")]


def family(kind: str, name: str) -> str | None:
    """The family that a name is of; None for a name of its own.

    Args:
        kind: As for `names`.
        name: The plug-in's.
    """
    return next((one for one in families(kind) if name.startswith(one) and name != one), None)


def _modules(kind: str) -> list[str]:
    package = importlib.import_module(_PACKAGES[kind])
    found = (module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
    return sorted(name for name in found if name != _SHARED and not name.startswith("_"))


def require(kind: str, name: str) -> None:
    """Refuse an unknown plug-in; nothing is imported.

    Args:
        kind: As for `names`.
        name: The plug-in's.

    Raises:
        UserError: for an unknown name, with the right ones.
    """
    if name not in names(kind) and not family(kind, name):
        known = ", ".join([*names(kind), *(f"{one}…" for one in families(kind))])
        raise UserError(f"unknown {kind} {name!r}: choose one of {known}")


def load(kind: str, name: str) -> Callable[..., Any]:
    """Import a plug-in.

    Args:
        kind: As for `names`.
        name: The plug-in's.

    Returns:
        Its `build` function; that of a family with the rest of the name as its first argument.

    Raises:
        UserError: for an unknown name, with the right ones.
    """
    require(kind, name)
    made_by = family(kind, name)
    build: Callable[..., Any] = importlib.import_module(f"{_PACKAGES[kind]}.{made_by or name}").build
    return partial(build, name.removeprefix(made_by)) if made_by else build


def settings(kind: str, name: str) -> list[str]:
    """List the keyword settings that a plug-in's `build` takes, without what it is given anyway, such as `scale`.

    Args:
        kind: As for `names`.
        name: The plug-in's.

    Returns:
        Their names, in the order of `build`.

    Raises:
        UserError: as `load` does.
    """
    parameters = inspect.signature(load(kind, name)).parameters.values()
    return [p.name for p in parameters if p.name not in _OFFERED and p.kind is not p.VAR_KEYWORD]


def takes_any(kind: str, name: str) -> bool:
    """Whether a plug-in's `build` takes settings of any name, and says itself which there are.

    Args:
        kind: As for `names`.
        name: The plug-in's.

    Raises:
        UserError: as `load` does.
    """
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(load(kind, name)).parameters.values())


def takes(kind: str, name: str, argument: str) -> bool:
    """Whether a plug-in's `build` has an argument.

    Args:
        kind: As for `names`.
        name: The plug-in's.
        argument: Name of the argument.

    Raises:
        UserError: as `load` does.
    """
    return argument in inspect.signature(load(kind, name)).parameters


def build(kind: str, name: str, settings: Mapping[str, Any] | None = None, **offered: Any) -> Any:
    """What a plug-in's `build` makes of its settings.

    Args:
        kind: as for `names`.
        name: the plug-in's.
        settings: keyword arguments, all of which it must take.
        **offered: keyword arguments that it gets if it takes them.

    Raises:
        Refused: for an unknown setting, or a value that `build` refuses.
        UserError: for an unknown name; and where what is built has a name of its own that is not that of its file.
    """
    make = load(kind, name)
    taken = {key: value for key, value in offered.items() if takes(kind, name, key)}
    unknown = [] if takes_any(kind, name) else [key for key in settings or () if not takes(kind, name, key)]
    if unknown:
        known = [key for key in inspect.signature(make).parameters if key not in _OFFERED]
        raise Refused(f"{kind} {name!r} has no setting {unknown[0]!r}: it takes {', '.join(known) or 'none'}")
    try:
        built = make(**taken, **(settings or {}))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise Refused(f"{kind} {name!r}: {error}") from None
    own = getattr(built, "name", name)
    if own != name:
        raise UserError(f"{kind} {name!r} calls itself {own!r}: give file and record the same name")
    return built
