"""Any folder of HR images as a benchmark: which files it has, and whether their pixels can be taken as they are."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from blindsr import images
from blindsr.errors import UserError
from blindsr.images import RGB


class HrFolder(NamedTuple):
    """A folder by its name, which stands for the benchmark, and its images sorted by name (without suffix)."""

    name: str
    files: dict[str, Path]


def open_folder(folder: Path) -> HrFolder:
    """List the images of a folder. Raises UserError without a folder or image, or for two images of one name."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: name the folder of the HR images")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in images.SUFFIXES and not path.name.startswith("."):
            other = files.setdefault(path.stem, path)
            if other is not path:
                raise UserError(f"{folder} has {other.name} and {path.name}: scores go by name, rename one")
    if not files:
        raise UserError(f"{folder} holds no image ({', '.join(images.SUFFIXES)})")
    return HrFolder(folder.resolve().name, files)


def read_hr(path: Path) -> RGB:
    """An HR image, RGB uint8 (H, W, 3), of a file whose 8-bit RGB pixels are not a matter of taste.

    Greyscale is repeated over the channels, as the protocol says, and opaque alpha is dropped. Raises UserError for
    16 bits a channel or alpha that is not opaque, which would have to be cut or blended somehow, and as
    `images.read_rgb` does.
    """
    try:
        problem = _problem(path)
    except Exception:  # a file that Pillow cannot read: the reader below says why
        problem = None
    if problem:
        raise UserError(f"{path} {problem}")
    return images.read_rgb(path)


def _problem(path: Path) -> str | None:
    with Image.open(path) as image:
        # Pillow cuts some deep images to 8 bits as it reads them: the layout of the raw data tells
        if image.mode.startswith(("I", "F")) or any(";16" in str(tile.args) for tile in image.tile):
            return "has more than 8 bits a channel: convert it to 8 bits"
        if image.has_transparency_data and np.asarray(image.convert("RGBA"))[:, :, 3].min() < 255:
            return "is transparent in places: blend it with a background first"
    return None


def is_grey(path: Path) -> bool:
    """Whether the file is an image with one channel of colour, by its header."""
    try:
        with Image.open(path) as image:
            return image.mode in ("1", "L", "LA")
    except Exception:  # a file that Pillow cannot read: the reader says why
        return False
