"""Any folder of HR images: what is listed."""

from pathlib import Path

import numpy as np
from PIL import Image

from blindsr.acquisition import folder


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


def test_greyscale_is_told_by_the_header(tmp_path: Path) -> None:
    Image.fromarray(picture()[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(picture()).save(tmp_path / "rgb.png")
    (tmp_path / "text.png").write_text("no image")
    found = [name for name in ("grey", "rgb", "text", "absent") if folder.is_grey(tmp_path / f"{name}.png")]
    assert found == ["grey"]
