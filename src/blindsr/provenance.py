"""Which code made a thing."""

import hashlib
import sys
from pathlib import Path


def code_digest() -> str:
    """Hash of this project's loaded modules: state that other code wrote is never gone on with.

    The apps are left out, since what loads them or not depends on the command, and they compute nothing of a stage.
    """
    loaded = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "blindsr"}
    digest = hashlib.sha256()
    for file in sorted(file for name, file in loaded.items() if file and not name.startswith("blindsr.apps")):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:8]
