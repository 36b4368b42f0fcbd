"""Packages that single commands need: all others work without them."""

import importlib.util

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
