"""Patch store: where windows fall, and how they are read."""

import itertools
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.acquisition import patch_builder
from blindsr.data import indices, patch_store
from blindsr.data.images import read_rgb, write_png
from blindsr.data.indices import IndexedImage
from blindsr.data.patch_store import PatchStore, Window
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
Indexer = Callable[[Path], list[IndexedImage]]

# Windows along the free side of DIV2K's training images 0001 to 0800, whose other side is 2040 px: the number of
# patches that BasicSR's meta_info_DIV2K800sub_GT.txt lists of each image (at commit 8d56e3a), divided by 8.
PUBLISHED = [int(digit) for digit in (Path(__file__).parent / "div2k_windows.txt").read_text() if digit.isdigit()]


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
    assert len(starts) == patch_store.count(length, size, step)
    assert starts[0] == 0
    assert starts[-1] + min(size, length) == length
    assert all(0 < b - a <= step for a, b in itertools.pairwise(starts))


@settings(deadline=None)
@given(st.integers(0, 2500), st.integers(1, 500), st.integers(1, 500))
def test_positions_are_those_of_the_public_script(beyond: int, size: int, step: int) -> None:
    """A grid, and one more window if more than thresh_size = 0 px are left over behind it."""
    length = size + beyond
    grid = np.arange(0, length - size + 1, step)
    left_over = length - (grid[-1] + size)
    expected = np.append(grid, length - size) if left_over > 0 else grid
    assert patch_store.positions(length, size, step) == expected.tolist()


def test_the_published_counts_of_div2k_are_those_of_sides_of_2040_px() -> None:
    """32,592 patches of 800 images, each a multiple of 8 with a free side of at most 2040 px."""
    along = patch_store.count(2040, 480, 240)
    assert along == 8
    assert len(PUBLISHED) == 800
    assert sum(PUBLISHED) * along == 32592
    assert set(PUBLISHED) <= {patch_store.count(side, 480, 240) for side in range(481, 2041)}
    # without the window at the border, 2040 px would give 7, and every number of patches be a multiple of that
    assert len(range(0, 2040 - 480 + 1, 240)) == 7


def test_every_image_of_div2k_has_the_published_number_of_patches() -> None:
    if not (ROOT / "data" / "index" / "DIV2K_train.json").is_file():
        pytest.skip("DIV2K is absent: run `dvc repro fetch` with data.train=DIV2K_train")
    index = indices.read_index("DIV2K_train", ROOT / "data" / "index")
    if index.missing:
        pytest.skip(f"DIV2K is absent: {index.missing}")
    counts = [
        patch_store.count(image.height, 480, 240) * patch_store.count(image.width, 480, 240) for image in index.images
    ]
    assert counts == [8 * windows for windows in PUBLISHED]
    assert sum(counts) == 32592


def make(folder: Path, index_images: Indexer, sizes: dict[str, tuple[int, int]], size: int = 40) -> PatchStore:
    """A store of random images by name -> (height, width), with patches of `size` px at half that step."""
    generator = np.random.default_rng(0)
    for name, (height, width) in sizes.items():
        write_png(folder / f"{name}.png", generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
    patch_builder.build(
        index_images(folder), folder, folder / "store",
        size=size, step=size // 2, scale=4, smallest=16, state=folder / "state", workers=1,
    )  # fmt: skip
    return PatchStore(folder / "store")


def test_pixels_come_back_and_windows_are_those_of_the_images(tmp_path: Path, index_images: Indexer) -> None:
    store = make(tmp_path, index_images, {"a": (50, 70), "b": (41, 40), "c": (20, 90)})
    # mod-cropped: 48 x 68 -> (0, 8) x (0, 20, 28); 40 x 40 -> one; 20 x 88 -> (0, 20, 40, 48)
    assert [store.window(number) for number in range(len(store))] == [
        *[Window(0, top, left, 40, 40) for top in (0, 8) for left in (0, 20, 28)],
        Window(1, 0, 0, 40, 40),
        *[Window(2, 0, left, 20, 40) for left in (0, 20, 40, 48)],
    ]
    assert store.smallest_side == 20
    for number, (name, height, width) in enumerate([("a", 48, 68), ("b", 40, 40), ("c", 20, 88)]):
        np.testing.assert_array_equal(store.image(number), read_rgb(tmp_path / f"{name}.png")[:height, :width])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(16, 90), st.integers(16, 90)), min_size=1, max_size=4), st.integers(8, 48))
def test_arithmetic_windows_are_the_listed_ones(
    tmp_path_factory: pytest.TempPathFactory, index_images: Indexer, sizes: list[tuple[int, int]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = make(folder, index_images, {f"{number}": pair for number, pair in enumerate(sizes)}, size)
    listed = [
        Window(number, top, left, min(size, height), min(size, width))
        for number, (height, width) in enumerate((h // 4 * 4, w // 4 * 4) for h, w in sizes)
        for top in patch_store.positions(height, size, size // 2)
        for left in patch_store.positions(width, size, size // 2)
    ]
    assert [store.window(number) for number in range(len(store))] == listed


def test_a_number_outside_is_an_index_error(tmp_path: Path, index_images: Indexer) -> None:
    store = make(tmp_path, index_images, {"a": (48, 68)})
    for number in (-1, len(store)):
        with pytest.raises(IndexError, match=f"patch {number} of 6"):
            store.window(number)


def test_a_copy_for_a_worker_carries_no_pixels(tmp_path: Path, index_images: Indexer) -> None:
    store = make(tmp_path, index_images, {"a": (400, 400)})
    pickled = pickle.dumps(store)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).image(0), store.image(0))


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_links_to_read_only_files_of_a_cache_can_be_read(tmp_path: Path, index_images: Indexer, link: str) -> None:
    """As DVC leaves the files with cache.type hardlink or symlink."""
    store = make(tmp_path, index_images, {"a": (48, 68)})
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in (patch_store.PIXELS, patch_store.INDEX, patch_store.SUMS):
        cached = tmp_path / "store" / name
        cached.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
        getattr(linked / name, link)(cached)
    again = PatchStore(linked)
    np.testing.assert_array_equal(again.image(0), store.image(0))
    assert not again.image(0).flags.writeable


def test_a_missing_or_cut_store_is_one_line(tmp_path: Path, index_images: Indexer) -> None:
    with pytest.raises(UserError, match="then `dvc repro patches`"):
        PatchStore(tmp_path / "absent")
    make(tmp_path, index_images, {"a": (40, 40)})
    pixels = tmp_path / "store" / patch_store.PIXELS
    pixels.write_bytes(pixels.read_bytes()[:-1])
    with pytest.raises(UserError, match="is cut short"):
        PatchStore(tmp_path / "store")


@settings(max_examples=30)
@given(place=st.integers(0, 40 * 40 * 3 + 40 * 44 * 3 - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_before_its_image_is_used(
    tmp_path_factory: pytest.TempPathFactory, index_images: Indexer, place: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    expected = [
        image.copy() for image in map(make(folder, index_images, {"a": (40, 40), "b": (40, 44)}).image, (0, 1))
    ]
    pixels = folder / "store" / patch_store.PIXELS
    content = bytearray(pixels.read_bytes())
    content[place] ^= 1 << bit
    pixels.write_bytes(content)
    store, damaged = PatchStore(folder / "store"), int(place >= 40 * 40 * 3)
    np.testing.assert_array_equal(store.image(1 - damaged), expected[1 - damaged])
    for _ in range(2):
        with pytest.raises(UserError, match=f"pixels.u8 is damaged in image {'ab'[damaged]}: run `blindsr verify`"):
            store.image(damaged)


@pytest.mark.parametrize("name", [patch_store.INDEX, patch_store.SUMS])
def test_other_damage_of_a_store_is_one_line(tmp_path: Path, index_images: Indexer, name: str) -> None:
    make(tmp_path, index_images, {"a": (40, 40), "b": (40, 44)})
    path = tmp_path / "store" / name
    whole = path.read_bytes()
    for number in range(0, len(whole), 7):
        content = bytearray(whole)
        content[number] ^= 1 << number % 8
        path.write_bytes(content)
        with pytest.raises(UserError, match="run `blindsr verify`"):
            store = PatchStore(tmp_path / "store")
            [store.image(image) for image in range(2)]
