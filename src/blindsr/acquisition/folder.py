"""Any folder of HR images as a benchmark: which files it has."""

import os
from pathlib import Path
from typing import NamedTuple

from blindsr.data import images
from blindsr.runtime.errors import UserError
from blindsr.runtime.files import is_hidden


class HrFolder(NamedTuple):
    """A folder by its name, which stands for the benchmark, and its images sorted by name (without suffix)."""

    name: str
    files: dict[str, Path]


def open_folder(folder: Path) -> HrFolder:
    """List the images of a folder.

    Args:
        folder: Its subfolders and hidden files do not count.

    Returns:
        The folder's name and its images.

    Raises:
        UserError: without a folder or an image, or for two images of one name.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name the folder of the HR images")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in images.SUFFIXES and not is_hidden(path.name):
            name = os.fsencode(path.stem).decode(errors="backslashreplace")  # which tables and JSON can hold
            other = files.setdefault(name, path)
            if other is not path:
                raise UserError(f"{folder} has {other.name} and {path.name}: scores go by name, rename one")
    if not files:
        raise UserError(f"{folder} holds no image ({', '.join(images.SUFFIXES)})")
    return HrFolder(folder.resolve().name, files)


def is_text(name: str) -> bool:
    """Whether the name of a file is text in UTF-8, and not just bytes."""
    return name.encode(errors="replace").decode() == name


def is_grey(path: Path) -> bool:
    """Whether the file is an image with one channel of colour, by its header; False for one that cannot be read."""
    try:
        with images.open_image(path) as image:
            return image.mode in ("1", "L", "LA")
    except Exception:  # a file that Pillow cannot read: the reader says why
        return False
