"""Any folder of HR images: what is listed, what is read, what would have to be guessed."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from blindsr import images
from blindsr.datasets import folder
from blindsr.errors import UserError


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (12, 10, 3), dtype=np.uint8)


def test_images_are_listed_by_name_and_the_folder_names_the_benchmark(tmp_path: Path) -> None:
    place = tmp_path / "Kodak"
    place.mkdir()
    for name in ("b.JPG", "a.png", "c.bmp", ".hidden.png", "notes.txt"):
        Image.fromarray(picture()).save(place / name) if name != "notes.txt" else (place / name).write_text("x")
    found = folder.open_folder(place)
    assert (found.name, list(found.files)) == ("Kodak", ["a", "b", "c"])
    assert folder.open_folder(place / ".." / "Kodak").name == "Kodak"


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_8_bit_rgb_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(folder.read_hr(path), picture())
    assert not folder.is_grey(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_are_refused_in_any_layout(tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"a.{suffix}"
    deep = np.random.default_rng(0).integers(0, 65536, (12, 10, channels), dtype=np.uint16)
    cv2.imwrite(str(path), deep)
    with pytest.raises(UserError, match=f"a.{suffix}"):
        folder.read_hr(path)


def test_floats_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match="more than 8 bits"):
        folder.read_hr(tmp_path / "a.tif")


def test_alpha_is_dropped_where_it_hides_nothing_and_refused_where_it_does(tmp_path: Path) -> None:
    alpha = np.full((12, 10), 255, np.uint8)
    Image.fromarray(np.dstack([picture(), alpha])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(folder.read_hr(tmp_path / "a.png"), picture())
    alpha[3, 4] = 254
    Image.fromarray(np.dstack([picture(), alpha])).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="transparent in places"):
        folder.read_hr(tmp_path / "a.png")
    palette = Image.fromarray(picture()).quantize(8)
    palette.save(tmp_path / "p.png", transparency=0)
    with pytest.raises(UserError, match="transparent in places"):
        folder.read_hr(tmp_path / "p.png")


def test_grey_is_repeated(tmp_path: Path) -> None:
    Image.fromarray(picture()[..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(folder.read_hr(tmp_path / "a.png"), np.dstack([picture()[..., 0]] * 3))
    assert folder.is_grey(tmp_path / "a.png")


def test_what_is_no_image_is_said_by_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UserError, match="is not an image"):
        folder.read_hr(tmp_path / "a.png")
    images.write_png(tmp_path / "b.png", picture())
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:100])
    with pytest.raises(UserError, match="cannot read image"):
        folder.read_hr(tmp_path / "b.png")
    assert not folder.is_grey(tmp_path / "a.png")
    assert not folder.is_grey(tmp_path / "absent.png")
