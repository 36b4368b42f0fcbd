"""Files that people give as weights and that are none: what they are instead, and the way out."""

import zipfile
from pathlib import Path

_ARCHIVES = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_IMAGES = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"RIFF": "WebP", b"II*\x00": "TIFF"}
_POINTER = b"version https://git-lfs"
_PICKLE = "data.pkl"  # what an archive of torch.save holds
_SHOWN = 3


def recognized(path: Path) -> str:
    """Say what a file is, if it is a common thing that is no weights.

    Args:
        path: Of a file that can be read.

    Returns:
        What goes behind the file's name in a message, with what to do; nothing for any other file.
    """
    with path.open("rb") as file:
        head = file.read(256)
    if zipfile.is_zipfile(path):
        return _zip(path)
    for magic, kind in _ARCHIVES.items():
        if head.startswith(magic):
            return f"is a {kind} archive: unpack it, and give the file of weights that is in it"
    for magic, kind in _IMAGES.items():
        if head.startswith(magic):
            return f"is a {kind} image: give it as an image, and a file of weights as the model"
    if head.startswith(_POINTER):
        return "is a pointer of git-lfs: fetch the file itself with `git lfs pull`"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, often what a host answers instead of a download: fetch the file again"
    return "is empty: fetch it again" if not head else ""


def _zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    if any(name.rpartition("/")[2] == _PICKLE for name in names):
        return ""
    if not names:
        return "is an empty zip archive: fetch it again"
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"is a zip archive: unpack it, and give the file of weights that is in it (it holds {shown})"
