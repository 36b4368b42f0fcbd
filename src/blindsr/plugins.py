"""Backbones and regularizers are modules found by name: dropping a file into the folder adds one."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from blindsr import backbones, regularizers
from blindsr.errors import UserError

_PACKAGES: dict[str, ModuleType] = {"backbone": backbones, "regularizer": regularizers}


def names(kind: str) -> list[str]:
    """Names of the plug-ins of a `kind` ("backbone" or "regularizer"), sorted; `_private` files are none."""
    found = (module.name for module in pkgutil.iter_modules(_PACKAGES[kind].__path__))
    return sorted(name for name in found if not name.startswith("_"))


def load(kind: str, name: str) -> Callable[..., Any]:
    """The `build` function of plug-in `name`. Raises UserError that lists the right names for a wrong one."""
    if name not in names(kind):
        raise UserError(f"unknown {kind} {name!r}: choose one of {', '.join(names(kind))}")
    build: Callable[..., Any] = importlib.import_module(f"{_PACKAGES[kind].__name__}.{name}").build
    return build


def settings(kind: str, name: str) -> list[str]:
    """Keyword settings that the plug-in's `build` takes, without `scale`, which every backbone is given."""
    return [key for key in inspect.signature(load(kind, name)).parameters if key != "scale"]
