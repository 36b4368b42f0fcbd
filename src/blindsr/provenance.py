"""Which code made a thing."""

import hashlib
import re
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

_PLUGIN = re.compile(r"blindsr\.(?:backbones|regularizers)\.([a-z0-9]\w*)")


def code_digest(plugins: Collection[str] | None = None) -> str:
    """Hash of this project's loaded modules: state that other code wrote is never gone on with.

    The apps are left out, since what loads them or not depends on the command, and they compute nothing of a stage;
    so are the backbones and regularizers that are not among `plugins`, if that is given.
    """
    digest = hashlib.sha256()
    for file in sorted(file for name, module in sys.modules.items() if (file := _file(name, module, plugins))):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:8]


def _file(name: str, module: ModuleType, plugins: Collection[str] | None) -> str | None:
    """Where a module's code is, if that counts."""
    if name.split(".")[0] != "blindsr" or name.startswith("blindsr.apps"):
        return None
    plugin = _PLUGIN.fullmatch(name)
    return module.__file__ if plugins is None or plugin is None or plugin[1] in plugins else None
