"""Files that are damaged beside their pixels: the pixels are kept, and what is lost is said."""

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image

_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_ICC = 1 << 24  # bytes of a colour profile
_NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
_END = b"\xff\xd9"  # of a JPEG


class Repaired(NamedTuple):
    """The bytes of a file without what was damaged."""

    content: bytes
    lost: str
    """What is not in it any more, in words."""
    icc: bytes | None = None
    """Colour profile, where it had to be taken out."""


def repaired(content: bytes) -> Repaired | None:
    """A file that cannot be read as it is, reduced to what can.

    Args:
        content: A PNG, which is left with its pixels and transparency; or a JPEG that lacks its end marker alone.

    Returns:
        None if that does not help: another format, or damaged pixels.
    """
    if content.startswith(_PNG):
        return _png(content)
    if content.startswith(b"\xff\xd8") and not content.rstrip(b"\0").endswith(_END):
        return _jpeg(content)
    return None


def _png(content: bytes) -> Repaired | None:
    kept, icc, at, dropped = [_PNG], None, len(_PNG), set[str]()
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, chunk = content[at + 4 : at + 8], content[at : at + 12 + length]
        at += 12 + length
        if kind in _NEEDED:
            kept.append(chunk)
        elif kind == b"iCCP":
            icc = _profile(chunk[8:-4])
            dropped |= set() if icc else {"the colour profile"}
        else:
            dropped.add("metadata")
        if kind == b"IEND":
            return Repaired(b"".join(kept), " and ".join(sorted(dropped)), icc)
    return None


def _profile(chunk: bytes) -> bytes | None:
    """A name, a zero, the method (0: deflate), the profile."""
    _, _, rest = chunk.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        icc = unpacking.decompress(rest[1:], _MOST_ICC)
    except zlib.error:
        return None
    return icc if unpacking.eof else None


def _jpeg(content: bytes) -> Repaired | None:
    """With an end marker, if all pixels are there.

    A decoder makes up what is missing from whatever follows. So two different fillings in front of the marker give
    the same pixels if, and only if, nothing is missing.
    """
    filled = [content + filling + _END for filling in (b"", b"\x55" * 4096)]
    try:
        ended, other = (np.asarray(Image.open(io.BytesIO(each), formats=["JPEG"])) for each in filled)
    except OSError:
        return None
    return Repaired(filled[0], "") if np.array_equal(ended, other) else None
