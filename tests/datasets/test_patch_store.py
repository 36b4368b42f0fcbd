"""Patch store: where windows fall, what is stored, what is refused."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.datasets import patch_store
from blindsr.datasets.patch_store import PatchStore, Window
from blindsr.errors import UserError
from blindsr.images import write_png


@pytest.mark.parametrize(
    ("length", "size", "step", "starts"),
    [
        (480, 480, 240, [0]),
        (960, 480, 240, [0, 240, 480]),
        (1020, 480, 240, [0, 240, 480, 540]),
        (961, 480, 240, [0, 240, 480, 481]),
        (2040, 480, 240, [0, 240, 480, 720, 960, 1200, 1440, 1560]),
        (300, 480, 240, [0]),
    ],
)
def test_positions_by_hand(length: int, size: int, step: int, starts: list[int]) -> None:
    assert patch_store.positions(length, size, step) == starts


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 500), st.integers(1, 500))
def test_windows_cover_a_side_to_its_border(length: int, size: int, step: int) -> None:
    starts = patch_store.positions(length, size, step)
    assert starts[0] == 0
    assert starts[-1] + min(size, length) == length
    assert all(0 < b - a <= step for a, b in itertools.pairwise(starts))


def write_images(folder: Path, sizes: dict[str, tuple[int, int]]) -> list[Path]:
    """Random images by name -> (height, width)."""
    generator = np.random.default_rng(0)
    for name, (height, width) in sizes.items():
        write_png(folder / f"{name}.png", generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return [folder / f"{name}.png" for name in sizes]


def test_pixels_come_back_and_windows_are_those_of_the_images(tmp_path: Path) -> None:
    from blindsr.images import read_rgb

    sources = write_images(tmp_path, {"a": (50, 70), "tiny": (10, 90), "b": (41, 40)})
    seen = []
    count = patch_store.build(
        sources, tmp_path / "store", size=40, step=20, scale=4, smallest=20, advance=lambda: seen.append(1)
    )
    store = PatchStore(tmp_path / "store")
    assert count == len(store) == 2 * 3 + 1  # 48 x 68 -> (0, 8) x (0, 20, 28); 40 x 40 -> one
    assert len(seen) == 3
    assert store.windows[0] == Window(0, 0, 0, 40, 40)
    assert store.windows[5] == Window(0, 8, 28, 40, 40)
    assert store.smallest_side == 40
    np.testing.assert_array_equal(store.image(0), read_rgb(sources[0])[:48, :68])
    np.testing.assert_array_equal(store.image(1), read_rgb(sources[2])[:40, :40])
    assert json.loads((tmp_path / "store" / "index.json").read_text())["left_out"] == ["tiny.png"]


def test_the_index_stands_for_the_pixels(tmp_path: Path) -> None:
    sources = write_images(tmp_path, {"a": (40, 40)})
    build = {"size": 40, "step": 20, "scale": 4, "smallest": 20}
    patch_store.build(sources, tmp_path / "one", **build)
    write_png(sources[0], np.zeros((40, 40, 3), np.uint8))
    patch_store.build(sources, tmp_path / "two", **build)
    assert (tmp_path / "one" / "index.json").read_bytes() != (tmp_path / "two" / "index.json").read_bytes()


def test_an_image_smaller_than_the_patch_is_one_window(tmp_path: Path) -> None:
    sources = write_images(tmp_path, {"a": (24, 100)})
    assert patch_store.build(sources, tmp_path / "s", size=48, step=24, scale=4, smallest=16) == 4
    assert PatchStore(tmp_path / "s").windows[3] == Window(0, 0, 52, 24, 48)


def test_no_image_large_enough_is_one_line(tmp_path: Path) -> None:
    sources = write_images(tmp_path, {"a": (24, 100)})
    with pytest.raises(UserError, match=r"both sides of 64 px.*lower train\.crop"):
        patch_store.build(sources, tmp_path / "s", size=48, step=24, scale=4, smallest=64)


def test_a_missing_or_cut_store_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `dvc repro patches`"):
        PatchStore(tmp_path / "absent")
    patch_store.build(write_images(tmp_path, {"a": (40, 40)}), tmp_path / "s", size=40, step=20, scale=4, smallest=20)
    pixels = tmp_path / "s" / "pixels.u8"
    pixels.write_bytes(pixels.read_bytes()[:-1])
    with pytest.raises(UserError, match="is cut short"):
        PatchStore(tmp_path / "s")
