"""Reading, writing and resizing of images."""

import errno
import io
import os

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from blindsr.data.images import (
    bicubic_downscale,
    bicubic_upscale,
    mod_crop,
    read_hr,
    read_rgb,
    size,
    to_float,
    to_uint8,
    write_png,
)
from blindsr.runtime.errors import UserError


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(tmp_path, image, name="image.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def test_rgb_png_comes_back_as_written(tmp_path):
    image = picture(7, 5)
    write_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), image)
    assert Image.open(tmp_path / "a.png").size == (5, 7)


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_is_repeated_over_the_channels(tmp_path, mode):
    grey = np.array([[0, 255], [255, 0], [0, 0]], dtype=np.uint8)
    rgb = read_rgb(saved(tmp_path, Image.fromarray(grey).convert(mode)))
    assert rgb.shape == (3, 2, 3)
    assert rgb.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(rgb[:, :, channel], grey)


def test_alpha_is_dropped_and_colours_kept(tmp_path):
    rgba = np.dstack([picture(4, 4), np.zeros((4, 4), np.uint8)])
    np.testing.assert_array_equal(read_rgb(saved(tmp_path, Image.fromarray(rgba))), rgba[:, :, :3])


def test_palette_is_looked_up(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    np.testing.assert_array_equal(read_rgb(saved(tmp_path, image)), [[[200, 100, 50], [10, 20, 30]]])


def test_sixteen_bits_keep_their_high_byte(tmp_path):
    deep = np.array([[0, 255, 256, 0x80FF, 65535]], dtype=np.uint16)
    rgb = read_rgb(saved(tmp_path, Image.fromarray(deep)))
    np.testing.assert_array_equal(rgb[0, :, 0], [0, 0, 1, 128, 255])
    assert (rgb == rgb[:, :, :1]).all()


@pytest.mark.parametrize("pixels", [np.array([[70000]], np.int32), np.array([[0.5]], np.float32)])
def test_pixels_of_unknown_range_are_refused(tmp_path, pixels):
    with pytest.raises(UserError, match=r"deep\.tif.*convert it to 8 or 16 bits"):
        read_rgb(saved(tmp_path, Image.fromarray(pixels), "deep.tif"))


def test_exif_orientation_is_ignored_unless_asked_for(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    image = picture(2, 6)
    path = saved(tmp_path, Image.fromarray(image), exif=exif)
    np.testing.assert_array_equal(read_rgb(path), image)
    np.testing.assert_array_equal(read_rgb(path, apply_orientation=True), np.rot90(image, -1))


def test_bad_files_are_named_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no image at .*absent\.png"):
        read_rgb(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(UserError, match=r"text\.png is not an image"):
        read_rgb(tmp_path / "text.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=r"folder\.png"):
        read_rgb(tmp_path / "folder.png")
    whole = saved(tmp_path, Image.fromarray(picture(64, 64)), "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.png.*again") as caught:
        read_rgb(tmp_path / "cut.png")
    assert "\n" not in str(caught.value)


def test_image_beyond_the_pixel_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UserError, match="crop it or scale it down"):
        read_rgb(saved(tmp_path, Image.fromarray(picture(8, 8))))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, on damaged TIFF files
@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"]),
    cut=st.floats(0, 1),
    damage=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_file_is_an_image_or_a_user_error(tmp_path_factory, form, cut, damage):
    encoded = io.BytesIO()
    Image.fromarray(picture(20, 20)).save(encoded, format=form)
    content = bytearray(encoded.getvalue())
    for where, value in damage:
        content[int(where * len(content))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: int(cut * len(content))])
    try:
        image = read_rgb(path)
    except UserError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3


def test_written_bytes_are_the_same_each_time_and_only_the_file_is_left(tmp_path):
    image = picture(9, 9)
    write_png(tmp_path / "a.png", image)
    write_png(tmp_path / "b.png", image[:, ::-1][:, ::-1])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_written_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_png(tmp_path / "a.png", picture(2, 2))
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_failed_write_keeps_the_old_image(tmp_path, monkeypatch):
    write_png(tmp_path / "a.png", picture(4, 4, seed=1))
    before = (tmp_path / "a.png").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"a\.png \(No space left on device\): free some space"):
        write_png(tmp_path / "a.png", picture(4, 4, seed=2))
    assert (tmp_path / "a.png").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_write_refuses_what_is_no_rgb_image(tmp_path):
    with pytest.raises(UserError, match="No such file or directory"):
        write_png(tmp_path / "absent" / "a.png", picture(2, 2))
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "a.png", np.zeros((2, 2, 3), np.float32))
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        write_png(tmp_path / "a.png", np.zeros((2, 2), np.uint8))


def test_mod_crop_keeps_the_top_left():
    image = picture(11, 8)
    np.testing.assert_array_equal(mod_crop(image, 4), image[:8])
    with pytest.raises(UserError, match="8×3 pixels is too small for ×4"):
        mod_crop(image[:3], 4)


def test_every_level_survives_the_way_to_float_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = np.stack([levels, levels.T, 255 - levels], axis=2)
    tensor = to_float(image)
    assert tensor.shape == (3, 16, 16)
    assert tensor.dtype == torch.float32
    assert tensor[0, 0, 5].item() == pytest.approx(5 / 255)
    np.testing.assert_array_equal(to_uint8(tensor), image)


def test_to_uint8_clamps_and_rounds_half_to_even():
    values = torch.tensor([-3.0, 0.0, 0.5 / 255, 1.4 / 255, 1.6 / 255, 127.5 / 255, 1.0, float("inf")])
    rgb = to_uint8(values.expand(3, 1, -1).double())
    np.testing.assert_array_equal(rgb[0, :, 1], [0, 0, 0, 1, 2, 128, 255, 255])


def test_to_uint8_takes_half_precision_and_refuses_nan():
    np.testing.assert_array_equal(to_uint8(torch.full((3, 2, 2), 1.0, dtype=torch.bfloat16)), 255)
    with pytest.raises(UserError, match="NaN"):
        to_uint8(torch.full((3, 2, 2), float("nan")))
    with pytest.raises(ValueError, match=r"\(1, 2, 2\)"):
        to_uint8(torch.zeros(1, 2, 2))


def test_bicubic_keeps_constants_and_sizes():
    image = np.full((13, 10, 3), 77, np.uint8)
    assert bicubic_downscale(image, 4).shape == (3, 2, 3)
    assert bicubic_upscale(image, 4).shape == (52, 40, 3)
    np.testing.assert_array_equal(bicubic_downscale(image, 4), 77)
    np.testing.assert_array_equal(bicubic_upscale(image, 4), 77)
    with pytest.raises(UserError, match="too small"):
        bicubic_downscale(image[:3], 4)


def test_bicubic_downscale_is_the_antialiased_kernel_by_hand():
    """Keys kernel with a = -0.5, stretched by the scale and normalized, across a step edge."""
    row = np.zeros(32, np.uint8)
    row[16:] = 200
    image = np.repeat(np.repeat(row[None, :, None], 8, 0), 3, 2)

    def keys(x):
        x = abs(x)
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    expected = []
    for out in range(2, 6):  # far enough from the border for the whole kernel of 16 pixels
        weights = np.array([keys((i + 0.5 - (out + 0.5) * 4) / 4) for i in range(32)])
        expected.append(np.clip(weights @ row / weights.sum(), 0, 255))
    np.testing.assert_allclose(bicubic_downscale(image, 4)[1, 2:6, 0], expected, atol=0.51)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_8_bit_rgb_that_is_scored_is_read_as_it_is(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture(12, 10)).save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_hr(path), picture(12, 10))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_are_refused_in_any_layout(tmp_path, suffix, channels):
    path = tmp_path / f"a.{suffix}"
    deep = np.random.default_rng(0).integers(0, 65536, (12, 10, channels), dtype=np.uint16)
    cv2.imwrite(str(path), deep)
    with pytest.raises(UserError, match=f"a.{suffix}"):
        read_hr(path)


def test_floats_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match="more than 8 bits"):
        read_hr(tmp_path / "a.tif")


def test_alpha_is_dropped_where_it_hides_nothing_and_refused_where_it_does(tmp_path):
    alpha = np.full((12, 10), 255, np.uint8)
    Image.fromarray(np.dstack([picture(12, 10), alpha])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_hr(tmp_path / "a.png"), picture(12, 10))
    alpha[3, 4] = 254
    Image.fromarray(np.dstack([picture(12, 10), alpha])).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="transparent in places"):
        read_hr(tmp_path / "a.png")
    palette = Image.fromarray(picture(12, 10)).quantize(8)
    palette.save(tmp_path / "p.png", transparency=0)
    with pytest.raises(UserError, match="transparent in places"):
        read_hr(tmp_path / "p.png")


def test_grey_that_is_scored_is_repeated(tmp_path):
    Image.fromarray(picture(12, 10)[..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_hr(tmp_path / "a.png"), np.dstack([picture(12, 10)[..., 0]] * 3))


def test_what_is_no_image_is_said_by_the_reader(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UserError, match="is not an image"):
        read_hr(tmp_path / "a.png")
    write_png(tmp_path / "b.png", picture(12, 10))
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:100])
    with pytest.raises(UserError, match="cannot read image"):
        read_hr(tmp_path / "b.png")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture
def no_ghostscript(monkeypatch):
    def run(*arguments):
        pytest.fail("Ghostscript was called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)


@pytest.mark.parametrize("read", [read_rgb, read_hr, size])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
def test_postscript_is_not_opened_whatever_it_is_called(tmp_path, read, suffix, no_ghostscript):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(POSTSCRIPT)
    with pytest.raises(UserError, match=rf"x\.{suffix} is not an image of a format that is read \(PNG, JPEG"):
        read(path)


@pytest.mark.parametrize("form", ["GIF", "PPM", "ICO", "TGA", "JPEG2000", "PCX", "SGI"])
def test_formats_that_are_not_meant_are_not_opened(tmp_path, form):
    path = saved(tmp_path, Image.fromarray(picture(16, 16)), "x.png", format=form)
    with pytest.raises(UserError, match="is not an image of a format that is read"):
        read_rgb(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "MPO"])
def test_formats_that_are_meant_are_opened_whatever_they_are_called(tmp_path, form):
    path = saved(tmp_path, Image.fromarray(picture(16, 12)), "x.png", format=form)
    assert read_rgb(path).shape == (16, 12, 3)
    assert size(path) == (12, 16)


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("read", [read_rgb, read_hr, size])
def test_a_pipe_or_a_device_is_one_line(tmp_path, kind, read):
    path = tmp_path / "x.png"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"x\.png \(.*pipe or a device"):
        read(path)
