"""What photos are, and what of them comes back: Pillow, OpenCV and tifffile as oracles."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from blindsr.apps.photos import photos
from blindsr.apps.photos.photos import Photo
from blindsr.runtime.errors import UserError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
DEEP_ALPHA = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CMYK = SRGB[:16] + b"CMYK" + SRGB[20:]  # its space is wrong for any image here


def file(image: Image.Image, format: str = "PNG", **options) -> bytes:
    content = io.BytesIO()
    image.save(content, format, **options)
    return content.getvalue()


def same(found, expected) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("image", "colour", "alpha"),
    [
        (Image.fromarray(RGB), RGB, None),
        (Image.fromarray(np.dstack([RGB, ALPHA])), RGB, ALPHA),
        (Image.fromarray(ALPHA), ALPHA[:, :, None], None),
        (Image.fromarray(np.dstack([RGB[:, :, 0], ALPHA]), "LA"), RGB[:, :, :1], ALPHA),
        (Image.fromarray(ALPHA > 127), np.where(ALPHA > 127, 255, 0).astype(np.uint8)[:, :, None], None),
    ],
)
def test_8_bits(image, colour, alpha):
    photo = photos.decode(file(image))
    same(photo.colour, colour)
    assert (photo.alpha is None) == (alpha is None)
    if alpha is not None:
        same(photo.alpha, alpha)
    assert photo.levels == 255


def test_palettes_become_colours_and_keep_transparency():
    image = Image.fromarray(RGB).quantize(16)
    same(photos.decode(file(image)).colour, np.asarray(image.convert("RGB")))
    photo = photos.decode(file(image, transparency=3))
    same(photo.alpha, np.where(np.asarray(image) == 3, 0, 255).astype(np.uint8))


def test_a_transparent_colour_of_a_png_is_transparency():
    photo = photos.decode(file(Image.fromarray(RGB), transparency=tuple(int(v) for v in RGB[2, 3])))
    assert photo.alpha is not None
    assert photo.alpha[2, 3] == 0
    assert photo.alpha[0, 0] == 255


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_16(pixels, colour_type: int) -> bytes:
    """A 16-bit PNG by hand, after its specification."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def test_16_bits_of_png():
    same(photos.decode(png_16(DEEP, 2)).colour, DEEP)
    photo = photos.decode(png_16(np.dstack([DEEP, DEEP_ALPHA]), 6))
    same(photo.colour, DEEP)
    same(photo.alpha, DEEP_ALPHA)
    assert photo.levels == 65535
    same(photos.decode(png_16(DEEP_ALPHA, 0)).colour, DEEP_ALPHA[:, :, None])
    photo = photos.decode(png_16(np.dstack([DEEP[:, :, 0], DEEP_ALPHA]), 4))
    same(photo.colour, DEEP[:, :, :1])
    same(photo.alpha, DEEP_ALPHA)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bits_of_tiff(byteorder, compression):
    for pixels in (DEEP, DEEP_ALPHA):
        content = io.BytesIO()
        kind = "rgb" if pixels.ndim == 3 else "minisblack"
        tifffile.imwrite(content, pixels, byteorder=byteorder, compression=compression, photometric=kind)
        same(photos.decode(content.getvalue()).colour, pixels.reshape(5, 7, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_all_pixels_and_then_gone(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.dstack([RGB, ALPHA]))
    content = file(image, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    photo = photos.decode(content)
    same(photo.colour, upright[:, :, :3])
    same(photo.alpha, upright[:, :, 3])
    assert 0x0112 not in photo.exif


def test_cmyk_becomes_srgb_by_its_profile_or_as_pillow_does():
    image = Image.fromarray(RGB).convert("CMYK")
    photo = photos.decode(file(image, "TIFF"))
    same(photo.colour, np.asarray(image.convert("RGB")))
    assert photo.icc is None
    # a profile that littleCMS cannot use must not lose the photo
    assert photos.decode(file(image, "TIFF", icc_profile=CMYK)).colour.shape == (5, 7, 3)


def test_lab_becomes_srgb():
    lab = ImageCms.profileToProfile(
        Image.fromarray(np.full((4, 4, 3), 128, np.uint8)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    photo = photos.decode(file(lab, "TIFF"))
    assert np.abs(photo.colour.astype(int) - 128).max() <= 2
    assert photo.icc is not None


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(format):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    content = file(frames[0], format, save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match="has 2 frames or pages"):
        photos.decode(content)


def test_the_main_picture_of_a_phones_multi_picture_file():
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    content = file(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(content)).format == "MPO"
    same(photos.decode(content).colour, np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not an image"),
        (b"hello", "is not an image"),
        (file(Image.fromarray(np.zeros((64, 64, 3), np.uint8) + RNG.integers(0, 9, (64, 64, 3), np.uint8)))[:-300],
         "is damaged"),
        (png_16(RNG.integers(0, 9, (64, 64, 3), np.uint16), 2)[:-3000], "is damaged"),
        (file(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "floating-point"),
        (file(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"), "more than 16 bits"),
    ],
)  # fmt: skip
def test_what_is_no_photo(content, says):
    with pytest.raises(UserError, match=says) as caught:
        photos.decode(content)
    assert "\n" not in str(caught.value)


def test_too_many_pixels(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UserError, match="more pixels than Pillow's safety limit"):
        photos.decode(file(Image.fromarray(RGB)))


@pytest.mark.parametrize("container", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("colour", [RGB, ALPHA[:, :, None], DEEP, DEEP_ALPHA[:, :, None]])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_photo_that_is_written_is_read_again(container, colour, transparent):
    deep = colour.dtype == np.uint16
    alpha = (DEEP_ALPHA if deep else ALPHA) if transparent else None
    photo = Photo(colour, alpha, exif=Image.Exif())
    if transparent and container == "jpg":
        with pytest.raises(UserError, match="transparency, which JPEG cannot hold"):
            photos.encode(photo, container, "0" * 32)
        return
    content = photos.encode(photo, container, "0" * 32)
    assert photos.is_marked(content)
    assert photos.is_marked(content, "0" * 32)
    assert not photos.is_marked(content, "1" * 32)
    if transparent and container == "tif" and colour.shape[2] == 1:
        # Pillow knows no such TIFF; tifffile does
        same(tifffile.imread(io.BytesIO(content)), np.dstack([colour, alpha]))
        return
    found = photos.decode(content)
    if container in ("png", "tif"):
        grey_as_colour = found.colour.shape[2] == 3 and colour.shape[2] == 1
        assert grey_as_colour == (deep and transparent and container == "png" and colour.shape[2] == 1)
        same(found.colour, np.repeat(colour, 3, 2) if grey_as_colour else colour)
        if transparent:
            same(found.alpha, alpha)
    else:
        assert found.colour.dtype == np.uint8
        assert found.colour.shape[:2] == (5, 7)
        assert (found.alpha is not None) == transparent


def test_16_bits_are_rounded_to_8():
    deep = np.array([[0, 128, 129, 257, 385, 386, 65535]], np.uint16)[:, :, None]
    assert photos.to_8_bits(Photo(deep)).colour.ravel().tolist() == [0, 0, 1, 1, 1, 2, 255]


@pytest.mark.parametrize("container", ["png", "jpg", "webp", "tif"])
def test_profile_and_exif_come_back_without_what_describes_the_old_file(container):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x0131] = "Maker", 6, "Camera 1.0"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0xA002: 7, 0xA003: 5})
    exif.get_ifd(0x8825).update({1: "N"})
    photo = photos.decode(file(Image.fromarray(RGB), "TIFF", exif=exif.tobytes(), icc_profile=SRGB))
    assert photo.icc == SRGB
    bigger = photo._replace(colour=np.repeat(photo.colour, 2, 1))
    found = Image.open(io.BytesIO(photos.encode(bigger, container, "abc")))
    assert found.info["icc_profile"] == SRGB
    written = found.getexif()
    assert written[0x010F] == "Maker"
    assert written[0x0131] == "blindsr upscale abc"
    assert written.get(0x0112, 1) == 1
    if container == "tif":  # texts alone
        return
    camera = written.get_ifd(0x8769)
    assert camera[0x9003] == "2024:05:06 07:08:09"
    assert (camera[0xA002], camera[0xA003]) == found.size
    assert written.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("container", ["png", "tif"])
def test_the_profile_of_16_bits(container):
    content = photos.encode(Photo(DEEP, icc=SRGB, exif=Image.Exif()), container, "abc")
    assert Image.open(io.BytesIO(content)).info["icc_profile"] == SRGB
    same(photos.decode(content).colour, DEEP)


def test_a_damaged_profile_loses_no_photo():
    """libpng refuses one of a wrong length: 8 bits are written by Pillow, with it; 16 bits without."""
    for damaged in (SRGB + b"abc", SRGB[:-4]):
        photo = photos.decode(file(Image.fromarray(RGB), "TIFF", icc_profile=damaged))
        content = photos.encode(photo, "png", "abc")
        assert photos.is_marked(content, "abc")
        assert photos.decode(content).icc == damaged
        same(photos.decode(content).colour, RGB)
        content = photos.encode(Photo(DEEP, icc=damaged), "png", "abc")
        assert photos.is_marked(content, "abc")
        assert photos.decode(content).icc is None
        same(photos.decode(content).colour, DEEP)


def test_png_of_a_side_above_a_million():
    content = photos.encode(Photo(np.zeros((1, 1_000_001, 1), np.uint8)), "png", "abc")
    assert Image.open(io.BytesIO(content)).size == (1_000_001, 1)
    with pytest.raises(UserError, match=r"cannot be written as png of 1000001×1 pixels .*: try tif"):
        photos.encode(Photo(np.zeros((1, 1_000_001, 3), np.uint16)), "png", "abc")


def test_a_profile_of_another_colour_space_is_left_out():
    assert photos.decode(file(Image.fromarray(ALPHA), icc_profile=SRGB)).icc is None
    assert photos.decode(file(Image.fromarray(RGB), icc_profile=CMYK)).icc is None


def test_broken_exif_loses_no_photo():
    content = file(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert photos.decode(content).colour.shape == (5, 7, 3)


def test_more_pixels_than_a_container_takes():
    with pytest.raises(UserError, match=r"cannot be written as webp of 16384×1 pixels .*: try png"):
        photos.encode(Photo(np.zeros((1, 16384, 3), np.uint8)), "webp", "abc")


def test_opencv_agrees_on_our_16_bit_png():
    content = photos.encode(Photo(DEEP, DEEP_ALPHA), "png", "abc")
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    same(found[:, :, [2, 1, 0, 3]], np.dstack([DEEP, DEEP_ALPHA]))
