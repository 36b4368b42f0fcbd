"""EXIF: texts keep their bytes, and whatever cannot be written is left out alone."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from blindsr.apps.photos import exif, photos

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # about the odd entries
COPYRIGHT, MAKE = ExifTags.Base.Copyright, ExifTags.Base.Make
PIXELS = Image.fromarray(np.zeros((4, 4, 3), np.uint8))


def jpeg(**directories: bytes) -> bytes:
    content = io.BytesIO()
    PIXELS.save(content, "JPEG", **directories)
    return content.getvalue()


def raw_entry(tag: int, kind: int, value: bytes, count: int) -> bytes:
    """EXIF of one entry of a given type, by hand, after the TIFF specification."""
    entry = tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + count.to_bytes(4, "little")
    inside = len(value) <= 4
    entry += value.ljust(4, b"\0") if inside else (8 + 2 + 12 + 4).to_bytes(4, "little")
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0" + (b"" if inside else value)


@pytest.mark.parametrize("text", ["© Jürgen".encode(), "© Jürgen".encode("latin-1"), b"plain"])
@pytest.mark.parametrize("container", ["jpg", "png", "webp", "tif"])
def test_a_text_survives_byte_for_byte(text: bytes, container: str) -> None:
    content = jpeg(exif=raw_entry(COPYRIGHT, 2, text + b"\0", len(text) + 1))
    written = photos.encode(photos.decode(content), container, "digest")
    with Image.open(io.BytesIO(written)) as image:
        found = image.getexif()[COPYRIGHT]
    assert (found.encode("latin-1") if isinstance(found, str) else found) == text


@pytest.mark.parametrize("kind", range(1, 13))
@pytest.mark.parametrize("tag", [COPYRIGHT, MAKE, ExifTags.Base.DateTime])
def test_an_entry_of_any_type_ends_no_photo(tag: int, kind: int) -> None:
    size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}[kind]
    photo = photos.decode(jpeg(exif=raw_entry(tag, kind, b"\x01" * size * 3, 3)))
    for container in ("jpg", "png", "webp", "tif"):
        photos.encode(photo, container, "digest")


def test_what_cannot_be_written_is_left_out_alone() -> None:
    read = Image.Exif()
    read[MAKE] = "Maker"
    read._data[COPYRIGHT] = IFDRational(1, 3)  # a text that is a fraction, as a broken writer left it
    kept = exif.descriptive(read)
    assert dict(kept) == {MAKE: "Maker"}


def test_damaged_exif_is_said_and_loses_no_photo() -> None:
    broken = jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    photo = photos.decode(broken)
    assert photo.colour.shape == (4, 4, 3)
    photos.encode(photo, "jpg", "digest")
