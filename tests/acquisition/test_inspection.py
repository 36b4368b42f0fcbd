"""Inspection of a folder: what is taken for the set, and the line that names set, file and what to do."""

import hashlib
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.acquisition import catalog, inspection
from blindsr.acquisition.catalog import Manifest
from blindsr.data import images, indices
from blindsr.data.images import write_png
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "data" / "manifests"


def manifest(**settings: object) -> Manifest:
    """A benchmark manifest that the user must bring, with the given settings."""
    base = {
        "name": "Toy",
        "role": "benchmark",
        "title": "t",
        "licence": "l",
        "sources": [{"kind": "user", "help": "ask the authors"}],
    }
    return Manifest.model_validate(base | settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small images, b.png and a.png, and a text file."""
    for name, side in (("b", 8), ("a", 12)):
        write_png(tmp_path / f"{name}.png", np.full((side, 16, 3), 7, np.uint8))
    (tmp_path / "readme.txt").write_text("no image")
    return tmp_path


def test_inspect_indexes_sizes_and_hashes_in_order(folder: Path) -> None:
    index = inspection.inspect(manifest(), folder)
    assert [(image.name, image.width, image.height) for image in index.images] == [("a", 16, 12), ("b", 16, 8)]
    assert index.images[0].sha256 == hashlib.sha256((folder / "a.png").read_bytes()).hexdigest()


def test_inspect_takes_only_the_files_of_the_manifest(folder: Path) -> None:
    assert [image.file for image in inspection.inspect(manifest(files={"b.png": {}}), folder).images] == ["b.png"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"b.png": {}, "c.png": {}}, "1 of 2 files are not in .*first: c.png"),
        ({"b.png": {"sha256": "0" * 64}}, "b.png has SHA-256 .*expected 000000000000"),
        ({"readme.txt": {}}, "readme.txt is not an image of a format that is read"),
    ],
)
def test_inspect_names_set_file_and_mend(folder: Path, files: dict[str, dict[str, str]], says: str) -> None:
    with pytest.raises(UserError, match=f"^Toy: .*{says}"):
        inspection.inspect(manifest(files=files), folder)


def test_inspect_refuses_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"correct data\.roots\.Toy"):
        inspection.inspect(manifest(), tmp_path / "absent")
    with pytest.raises(UserError, match="holds no image"):
        inspection.inspect(manifest(), tmp_path)


def test_a_file_as_root_is_for_weights_only(folder: Path) -> None:
    weights = manifest(role="weights")
    assert inspection.inspect_weights(weights, folder / "readme.txt").images[0].file == "readme.txt"
    with pytest.raises(UserError, match="name the folder of its images"):
        inspection.inspect_weights(manifest(), folder / "a.png")


def test_subfolders_count_for_sets_without_a_list(folder: Path) -> None:
    (folder / "more").mkdir()
    write_png(folder / "more" / "a.png", np.zeros((8, 8, 3), np.uint8))
    (folder / ".hidden.png").write_bytes(b"left by a killed process")
    index = inspection.inspect(manifest(), folder)
    assert [(image.name, image.file) for image in index.images] == [
        ("a", "a.png"),
        ("b", "b.png"),
        ("more-a", "more/a.png"),
    ]


def test_two_images_of_one_name_are_refused(folder: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.jpg")
    with pytest.raises(UserError, match="two images named a: rename or remove one"):
        inspection.inspect(manifest(), folder)


def test_a_wrong_number_of_images_is_one_line(folder: Path) -> None:
    with pytest.raises(UserError, match="holds 2 images, expected 3"):
        inspection.inspect(manifest(count=3), folder)


def test_a_wrong_size_is_told_before_the_hash(folder: Path) -> None:
    with pytest.raises(UserError, match=r"a\.png has \d+ bytes, expected 7"):
        inspection.inspect(manifest(files={"a.png": {"size": 7, "sha256": "0" * 64}}), folder)


def test_another_set_in_place_is_known_by_its_sizes(folder: Path) -> None:
    assert inspection.inspect(manifest(long_side=16), folder, in_place=True).images
    with pytest.raises(UserError, match=r"a\.png is 16x12 px, expected a larger side of 2040 px.*data\.roots\.Toy"):
        inspection.inspect(manifest(long_side=2040), folder, in_place=True)


def pixels_of(*files: tuple[str, Path]) -> dict[str, dict[str, str]]:
    return {name: {"pixels": inspection.pixel_hash(path)} for name, path in files}


def test_a_copy_of_other_names_is_known_by_its_pixels(folder: Path) -> None:
    wanted = manifest(files=pixels_of(("img_001.png", folder / "b.png"), ("img_002.png", folder / "a.png")))
    Image.open(folder / "a.png").save(folder / "butterfly.bmp")
    (folder / "a.png").unlink()
    index = inspection.inspect(wanted, folder, in_place=True)
    assert [(image.name, image.file) for image in index.images] == [
        ("img_001", "b.png"),
        ("img_002", "butterfly.bmp"),
    ]


def test_pixels_are_compared_after_the_crop_to_a_multiple_of_4(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (14, 19, 3), np.uint8)
    write_png(tmp_path / "whole.png", pixels)
    write_png(tmp_path / "cropped.png", np.ascontiguousarray(pixels[:12, :16]))
    expected = hashlib.sha256(b"16x12" + pixels[:12, :16].tobytes()).hexdigest()
    assert (
        inspection.pixel_hash(tmp_path / "whole.png") == inspection.pixel_hash(tmp_path / "cropped.png") == expected
    )


def test_an_image_with_other_pixels_is_not_the_set(folder: Path) -> None:
    wanted = manifest(files=pixels_of(("img_001.png", folder / "b.png"), ("img_002.png", folder / "a.png")))
    write_png(folder / "a.png", np.zeros((12, 16, 3), np.uint8))
    with pytest.raises(
        UserError, match=r"1 of 2 files are not in .*img_002\.png; no other image there has its pixels"
    ):
        inspection.inspect(wanted, folder)


@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_the_real_benchmarks_are_known_by_name_and_by_pixels(name: str, real_data: Path, tmp_path: Path) -> None:
    wanted = catalog.load_manifest(name, MANIFESTS)
    by_name = inspection.inspect(wanted, real_data / "benchmarks" / name, in_place=True)
    for number, image in enumerate(by_name.images):
        write_png(tmp_path / f"photo{-number}.png", images.read_rgb(real_data / "benchmarks" / name / image.file))
    by_pixels = inspection.inspect(wanted, tmp_path, in_place=True)
    assert [(image.name, image.width) for image in by_pixels.images] == [
        (image.name, image.width) for image in by_name.images
    ]


def test_titles_are_compared_by_letters_and_digits(folder: Path) -> None:
    (folder / "a.png").rename(folder / "ThatsIzumiko_000.png")
    (folder / "b.png").rename(folder / "that.png")
    index = inspection.inspect(manifest(titles=["That", "That'sIzumiko"]), folder)
    assert [image.name for image in index.images] == ["ThatsIzumiko_000", "that"]


@pytest.mark.parametrize(
    ("titles", "says"),
    [
        (["a", "b", "LoveHina_vol01"], "3 titles, and LoveHina_vol01 is not there"),
        (["b"], r"1 titles, and a\.png does not belong to it"),
    ],
)
def test_missing_and_foreign_titles_are_one_line(folder: Path, titles: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        inspection.inspect(manifest(titles=titles), folder)


def damaged(folder: Path) -> None:
    """Beside two sound images: text, PostScript, more pixels than are read, and a pipe."""
    (folder / "text.png").write_text("no image")
    (folder / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n")
    header = struct.pack(">IIBBBBB", 20_000, 15_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "large.png").write_bytes(start)


def test_an_image_that_cannot_be_used_is_named_and_the_rest_are_taken(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged(folder)
    os.mkfifo(folder / "pipe.png")
    index = inspection.inspect(manifest(), folder)
    assert [image.name for image in index.images] == ["a", "b"]
    assert index.left_out == ["large.png", "script.png", "text.png"]
    for name in index.left_out:
        assert sum(f"{name} " in line and "left out" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("settings", [{"count": 5}, {"files": {"a.png": {}, "text.png": {}}}])
def test_of_a_set_whose_files_are_known_none_is_left_out(folder: Path, settings: dict[str, object]) -> None:
    damaged(folder)
    with pytest.raises(UserError, match="Toy: .*png (is not an image|has more pixels)"):
        inspection.inspect(manifest(**settings), folder)


def test_without_any_image_that_can_be_used_there_is_no_set(tmp_path: Path) -> None:
    damaged(tmp_path)
    with pytest.raises(UserError, match="none of 3 images"):
        inspection.inspect(manifest(), tmp_path)


def test_an_image_with_too_much_text_beside_its_pixels_is_taken(folder: Path) -> None:
    whole = (folder / "a.png").read_bytes()
    chunk = b"zTXtkey\0\0" + zlib.compress(bytes(2 << 20))
    text = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "a.png").write_bytes(whole[:33] + text + whole[33:])
    index = inspection.inspect(manifest(files={"a.png": {}}), folder)
    assert [(image.width, image.height) for image in index.images] == [(16, 12)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (b"caf\xe9.png", r"caf\\udce9.png: its name is not text in UTF-8"),
        (b"two\nlines.png", r"two\\nlines.png: its name is not text"),
        ("line\u2028end.png".encode(), "its name is not text"),
        (b"C:x.png", "C:x.png: its name means another place"),
        (b"d" * 120 + b"/" + b"e" * 120 + b".png", "longer than 200 bytes"),
    ],
)
def test_a_name_that_cannot_be_carried_is_said(
    folder: Path, name: bytes, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = os.fsencode(folder) + b"/" + name
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.rename(folder / "b.png", place)
    index = inspection.inspect(manifest(), folder)
    assert ([image.name for image in index.images], len(index.left_out)) == (["a"], 1)
    assert re.search(f"Toy: .*{says}.*left out", caplog.text)
    index.write(folder)
    assert indices.read_index("Toy", folder) == index


@pytest.mark.parametrize("name", ["NA", "null", "nan", "1e5", "007", "\u65e5\u672c \u3000x", "a\u00a0b"])
def test_a_name_is_text_whatever_it_looks_like(folder: Path, name: str) -> None:
    (folder / "b.png").rename(folder / f"{name}.png")
    inspection.inspect(manifest(), folder).write(folder)
    assert name in [image.name for image in indices.read_index("Toy", folder).images]
