"""What a photo's EXIF says of the photo, kept byte for byte where it can be written again."""

import contextlib
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

# of a file's first directory; the rest describes the file
_DESCRIPTIVE = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)
DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def descriptive(exif: Image.Exif) -> Image.Exif:
    """The entries that describe the photo; one that Pillow reads but cannot write, such as a text that is a number,
    is left out.

    Args:
        exif: As Pillow reads it.

    Returns:
        A copy; a text that is not ASCII is bytes: Pillow reads Latin-1 and writes ASCII, which would change "©".
    """
    kept = Image.Exif()
    kept.update(_writable({tag: exif[tag] for tag in _DESCRIPTIVE if tag in exif}))
    for directory in DIRECTORIES:
        with contextlib.suppress(Exception):  # whatever Pillow makes of a damaged directory: the pixels are sound
            entries = _writable(exif.get_ifd(directory), directory)
            if entries:
                kept.get_ifd(directory).update(entries)
    return kept


def _writable(entries: Mapping[int, Any], directory: int | None = None) -> dict[int, Any]:
    kept = {tag: value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value
            for tag, value in entries.items()}  # fmt: skip
    return {tag: value for tag, value in kept.items() if _can_be_written(tag, value, directory)}


def _can_be_written(tag: int, value: Any, directory: int | None) -> bool:
    alone = Image.Exif()
    try:
        (alone if directory is None else alone.get_ifd(directory))[tag] = value
        alone.tobytes()
    except Exception:  # a file may give a tag any type, and each breaks Pillow in a way of its own
        return False
    return True
