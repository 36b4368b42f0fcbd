"""Plug-ins are modules found by name: dropping a file into a folder of `blindsr.plugins` adds one."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

from blindsr.runtime.errors import UserError

# Packages by name, not imports: what the settings may name is known here, below the plug-ins themselves.
_PACKAGES = {
    "backbone": "blindsr.plugins.backbones",
    "degradation": "blindsr.plugins.degradations",
    "regularizer": "blindsr.plugins.regularizers",
}
_SHARED = "base"  # the module of each kind that holds its base class


def names(kind: str) -> list[str]:
    """Names of the plug-ins of a kind, sorted.

    Args:
        kind: "backbone", "degradation" or "regularizer".
    """
    package = importlib.import_module(_PACKAGES[kind])
    found = (module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
    return sorted(name for name in found if name != _SHARED and not name.startswith("_"))


def load(kind: str, name: str) -> Callable[..., Any]:
    """The `build` function of a plug-in.

    Raises:
        UserError: for an unknown name, with the right ones.
    """
    if name not in names(kind):
        raise UserError(f"unknown {kind} {name!r}: choose one of {', '.join(names(kind))}")
    build: Callable[..., Any] = importlib.import_module(f"{_PACKAGES[kind]}.{name}").build
    return build


def settings(kind: str, name: str) -> list[str]:
    """Keyword settings that the plug-in's `build` takes, without `scale`, which every backbone is given."""
    return [key for key in inspect.signature(load(kind, name)).parameters if key != "scale"]


def build(kind: str, name: str, chosen: dict[str, Any]) -> Any:
    """What a plug-in's `build` makes of its settings.

    Raises:
        UserError: for an unknown name, an unknown setting, or a value that `build` refuses.
    """
    make = load(kind, name)
    try:
        return make(**chosen)
    except (TypeError, ValueError) as error:
        raise UserError(f"{kind} {name!r}: {error}") from None
