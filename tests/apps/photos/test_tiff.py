"""16-bit TIFFs of every layout, against the pixels that were written."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from blindsr.apps.photos import photos
from blindsr.data import images
from blindsr.runtime.errors import UserError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 65536, (12, 10, 3), dtype=np.uint16)
ALPHA = RNG.integers(1, 65536, (12, 10), dtype=np.uint16)


def tiff(pixels: np.ndarray, **options) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, pixels, metadata=None, **options)
    return content.getvalue()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_together_or_apart(planar: str, compression: str | None) -> None:
    pixels = COLOUR if planar == "contig" else np.moveaxis(COLOUR, -1, 0)
    photo = photos.decode(tiff(pixels, photometric="rgb", planarconfig=planar, compression=compression))
    np.testing.assert_array_equal(photo.colour, COLOUR)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_with_either_end_as_white(photometric: str) -> None:
    photo = photos.decode(tiff(ALPHA, photometric=photometric))
    expected = ALPHA if photometric == "minisblack" else 65535 - ALPHA
    np.testing.assert_array_equal(photo.colour[:, :, 0], expected)


def test_transparency_that_colours_are_multiplied_by_is_taken_out_again() -> None:
    stored = np.rint(COLOUR * (ALPHA[:, :, None] / 65535)).astype(np.uint16)
    pixels = np.dstack([stored, ALPHA])
    photo = photos.decode(tiff(pixels, photometric="rgb", extrasamples=["assocalpha"]))
    np.testing.assert_array_equal(photo.alpha, ALPHA)
    error = np.abs(photo.colour.astype(float) - COLOUR) * ALPHA[:, :, None] / 65535
    assert error.max() <= 1.0  # the rounding of what was stored
    plain = photos.decode(tiff(pixels, photometric="rgb", extrasamples=["unassalpha"]))
    np.testing.assert_array_equal(plain.colour, stored)


def test_an_unknown_layout_is_refused_by_name() -> None:
    five = RNG.integers(0, 65536, (12, 10, 5), dtype=np.uint16)
    with pytest.raises(UserError, match="unusual layout|not an image"):
        photos.decode(tiff(five, photometric="separated", planarconfig="contig"))


def test_a_thumbnail_on_the_second_page_is_no_second_picture() -> None:
    content = io.BytesIO()
    with tifffile.TiffWriter(content) as writer:
        writer.write((COLOUR >> 8).astype(np.uint8), photometric="rgb", metadata=None)
        writer.write((COLOUR[::2, ::2] >> 8).astype(np.uint8), photometric="rgb", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(photos.decode(content.getvalue()).colour, COLOUR >> 8)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_scores_refuse_what_has_more_than_8_bits(tmp_path, planar: str) -> None:
    pixels = COLOUR if planar == "contig" else np.moveaxis(COLOUR, -1, 0)
    (tmp_path / "deep.tif").write_bytes(tiff(pixels, photometric="rgb", planarconfig=planar))
    with pytest.raises(UserError, match="more than 8 bits a channel"):
        images.read_hr(tmp_path / "deep.tif")


def test_a_transparent_grey_of_a_16_bit_png(tmp_path) -> None:
    grey = np.array([[7, 1000], [65535, 7]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=7)
    photo = photos.decode((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(photo.colour[:, :, 0], grey)
    np.testing.assert_array_equal(photo.alpha, np.where(grey == 7, 0, 65535))
