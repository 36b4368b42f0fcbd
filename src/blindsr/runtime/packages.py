"""Packages that single commands need: all others work without them."""

import contextlib
import importlib.util
from collections.abc import Iterable
from importlib import metadata

from blindsr.runtime.errors import UserError


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


def versions(names: Iterable[str]) -> dict[str, str]:
    """Package -> version, in order, of those among `names`, as the package index has them, that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
