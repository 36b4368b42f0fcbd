"""Where the stages read and write: relative to the working directory, which DVC sets."""

import os
import re
from pathlib import Path, PureWindowsPath

from blindsr.runtime.errors import UserError

FETCHED = Path("data/fetched.json")
MANIFESTS = Path("data/manifests")
RAW = Path("data/raw")
INDEX = Path("data/index")
PATCHES = Path("data/patches")
LR = Path("data/lr")
MODELS = Path("models")
REPORTS = Path("reports")
CURVES = Path("reports/curves")
SCORES = Path("reports/scores")
ANALYSIS = Path("reports/analysis")
GALLERY = Path("reports/gallery")
TABLES = Path("reports/tables")
FIGURES = Path("reports/figures")
PLOTS = Path("reports/plots")
METRICS = Path("reports/metrics.json")
PAGE = Path("reports/report.html")


def project_root() -> Path:
    """The real project folder, also in the temporary copies in which DVC runs queued experiments."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def of_user(given: str | Path) -> Path:
    """The place that a setting names, where it is used: files keep the setting as it was given.

    So what is committed need not tell how a machine calls its disks and users.

    Args:
        given: Absolute, relative to the project, or beginning with ~ (the user's folder); $NAME in it stands for a
            variable of the environment.

    Returns:
        Absolute path, of the real project also in temporary copies of it.

    Raises:
        UserError: for a variable that is not set, or a user that is not known.
    """
    text = os.path.expandvars(given)
    absent = re.search(r"\$\{?(\w+)", text)
    if absent:
        raise UserError(f"{given} names ${absent[1]}, which is not set: `export {absent[1]}=...`, or give the path")
    try:
        return project_root() / Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{given} begins with the folder of a user who is not known here: give the path") from None


def is_private(given: str | Path) -> bool:
    """Whether a setting tells how this machine calls its disks and users: an absolute path does."""
    return Path(given).is_absolute() or PureWindowsPath(given).is_absolute()


def require_inside(text: str) -> str:
    """Check the path of a file below some folder, so that it leads nowhere else on any system.

    Args:
        text: The path, with "/" between its parts.

    Returns:
        The same.

    Raises:
        ValueError: for an absolute path, one with "..", a drive, an empty part, or a character that ends a line.
    """
    parts = re.split(r"[/\\]", text)
    if "\0" in text or len(text.splitlines()) != 1 or re.match("[A-Za-z]:", text):
        raise ValueError(f"{text!r} is no usable path of a file")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{text!r} leads out of its folder: give a path below it")
    return text
