"""Packages that single commands need: all others work without them."""

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from blindsr.runtime import paths
from blindsr.runtime.errors import UserError, one_line

_OWN = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")  # a function in a file of the user's


def installed(module: str) -> bool:
    """Whether `module`, of another package, can be imported. It is looked for, not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def require(module: str, purpose: str, package: str = "") -> None:
    """Raise UserError unless `module` can be imported.

    Args:
        module: what is imported, such as "sklearn".
        purpose: what needs it, as the message begins.
        package: its name in the package index, where that is another.
    """
    if not installed(module):
        name = package or module
        raise UserError(f"{purpose} needs {name}, which is not installed: pip install {name}")


_PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "PyYAML", "cv2": "opencv-python-headless"}
"""Module -> its package in the index, where that has another name."""


def absent(error: BaseException) -> str | None:
    """Say what to do about an import that failed since a package of others is not installed.

    Args:
        error: What was raised.

    Returns:
        The end of a message, "X, which is not installed: …"; None for any other error.
    """
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    module = error.name.partition(".")[0]
    if module == "blindsr" or installed(module):
        return None
    name = _PACKAGES.get(module, module)
    return f"{name}, which is not installed: pip install {name}, or blindsr with its extra, blindsr[pipeline]"


def versions(names: Iterable[str]) -> dict[str, str]:
    """Package -> version, in order, of those among `names`, as the package index has them, that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def spandrel() -> ModuleType:
    """The spandrel package; as `beside_torchvision`."""
    return beside_torchvision("spandrel")


def beside_torchvision(package: str) -> ModuleType:
    """Import a package that imports torchvision, also where torchvision's operators are of another build of torch.

    Such a torchvision cannot be imported without two operators that no network here calls: they are declared then.

    Args:
        package: Such as "spandrel".

    Raises:
        ImportError: where it, or what it needs, is not installed.
        RuntimeError: if its torchvision cannot be loaded all the same.
    """
    try:
        return importlib.import_module(package)
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    from torch import library  # seconds, which only this needs

    for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", package)]:
        del sys.modules[name]  # half imported
    for name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):  # declared already
            library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module(package)


def own_file(where: Any) -> Path | None:
    """The Python file of a setting such as "path/to/net.py:build"; None for any other value.

    A relative path is looked for in the working directory, then in the project's root.
    """
    named = _OWN.fullmatch(where) if isinstance(where, str) else None
    if not named:
        return None
    path = Path(os.path.expandvars(named["file"])).expanduser()
    return path if path.is_file() else paths.of_user(named["file"])


def own_files(settings: Mapping[str, Any]) -> list[Path]:
    """The Python files that settings name: whoever builds a network from them runs these."""
    return [path for value in settings.values() if (path := own_file(value))]


def own_function(where: str) -> Callable[..., Any]:
    """Import a function from a file of the user's.

    Args:
        where: "path/to/net.py:build", as for `own_file`. The file may import what lies beside it.

    Returns:
        What the file calls by that name.

    Raises:
        UserError: that names the file, if it is missing, fails, or has no such function.
    """
    path = own_file(where)
    name = where.rpartition(":")[2]
    if path is None or not path.is_file():
        raise UserError(
            f"{where}: no such file: give the path of a Python file and a function in it, as net.py:build"
        )
    spec = importlib.util.spec_from_file_location(f"_own_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018 (of a .py file there is one)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's code meets
        raise UserError(f"{path} cannot be imported ({type(error).__name__}: {one_line(error)})") from None
    finally:
        sys.path.remove(str(path.resolve().parent))
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"{path} has no function {name}: name the one that builds the network, as {path.name}:build")
    found: Callable[..., Any] = function
    return found
