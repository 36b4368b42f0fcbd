"""Damage beside the pixels costs no photo; damaged pixels are never made up."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.apps.photos import photos
from blindsr.data import images
from blindsr.runtime.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


def chunk(kind: bytes, data: bytes, *, sound: bool = True) -> bytes:
    crc = zlib.crc32(kind + data) ^ (not sound)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(*extra: bytes) -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, "PNG")
    head, rest = content.getvalue()[:33], content.getvalue()[33:]  # signature and IHDR; the others
    return head + b"".join(extra) + rest


def jpeg(**options: bool) -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, "JPEG", **options)
    return content.getvalue()


@pytest.mark.parametrize(
    ("extra", "lost"),
    [
        (chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * (2 << 20))), "metadata"),
        (chunk(b"tEXt", b"k\0v", sound=False), "metadata"),
        (chunk(b"iCCP", b"p\0\0" + b"no deflate", sound=False), "the colour profile"),
    ],
)
def test_a_png_keeps_its_pixels(extra: bytes, lost: str) -> None:
    photo = photos.decode(png(extra))
    np.testing.assert_array_equal(photo.colour, PIXELS)
    assert photo.lost in (lost, "")  # what Pillow reads all the same is not lost


def test_a_large_colour_profile_is_kept() -> None:
    icc = b"\0" * 16 + b"RGB " + np.random.default_rng(1).bytes(1 << 21)
    photo = photos.decode(png(chunk(b"iCCP", b"p\0\0" + zlib.compress(icc))))
    assert photo.icc == icc
    np.testing.assert_array_equal(photo.colour, PIXELS)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_marker_is_whole(progressive: bool) -> None:
    whole = jpeg(progressive=progressive)
    photo = photos.decode(whole[:-2])
    np.testing.assert_array_equal(photo.colour, photos.decode(whole).colour)
    assert photo.lost == ""


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [40, 400, 1500])
def test_a_jpeg_that_is_cut_off_is_damaged(missing: int, progressive: bool) -> None:
    with pytest.raises(UserError, match="is damaged"):
        photos.decode(jpeg(progressive=progressive)[:-missing])


def test_data_sets_are_read_alike(tmp_path: Path) -> None:
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * (2 << 20)))
    for name, content in (("a.png", png(bomb)), ("b.jpg", jpeg()[:-2])):
        (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(images.read_rgb(tmp_path / "a.png"), PIXELS)
    np.testing.assert_array_equal(images.read_hr(tmp_path / "b.jpg"), photos.decode(jpeg()).colour)
    (tmp_path / "c.jpg").write_bytes(jpeg()[:-400])
    with pytest.raises(UserError, match="cannot read image"):
        images.read_rgb(tmp_path / "c.jpg")


def test_damaged_pixels_of_a_png_are_damaged() -> None:
    content = bytearray(png())
    content[len(content) // 2] ^= 255
    with pytest.raises(UserError, match="is damaged"):
        photos.decode(bytes(content))
