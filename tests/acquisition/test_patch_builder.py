"""Building the patch store: same bytes in parallel, every kind of image, kills, full disks, links."""

import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.acquisition import patch_builder
from blindsr.data import images
from blindsr.data.indices import IndexedImage
from blindsr.data.patch_store import INDEX, PIXELS, SUMS, PatchStore
from blindsr.runtime import files
from blindsr.runtime.errors import UserError

Indexer = Callable[[Path], list[IndexedImage]]
Build = Callable[..., int]
Patch = pytest.MonkeyPatch
SIDES = {"a": (48, 68), "b": (41, 40), "c": (30, 90), "d": (64, 64), "e": (40, 52), "f": (44, 44)}
linux_only = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="workers are forked on Linux alone")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six random images, named a to f."""
    generator = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name, (height, width) in SIDES.items():
        pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        images.write_png(tmp_path / "images" / f"{name}.png", pixels)
    return tmp_path / "images"


@pytest.fixture
def build(index_images: Indexer, folder: Path) -> Build:
    """`build(store, **changes)` of what is in `folder` when it is first called."""
    indexed: list[IndexedImage] = []

    def run(store: Path, **changes: int) -> int:
        indexed.extend([] if indexed else index_images(folder))
        settings = {"size": 40, "step": 20, "scale": 4, "smallest": 16, "workers": 1} | changes
        return patch_builder.build(indexed, folder, store, state=folder.parent / "state", **settings)

    return run


@pytest.fixture
def decoded(monkeypatch: Patch) -> list[str]:
    """Names of the images that this process decodes, as it does."""
    names: list[str] = []
    read = images.read_rgb

    def count(path: Path) -> images.RGB:
        names.append(path.stem)
        return read(path)

    monkeypatch.setattr(images, "read_rgb", count)
    return names


def content(store: Path) -> tuple[bytes, bytes]:
    assert sorted(path.name for path in store.iterdir()) == [INDEX, PIXELS, SUMS]
    return (store / PIXELS).read_bytes(), (store / INDEX).read_bytes()


def leftovers(state: Path) -> list[Path]:
    return [path for path in state.iterdir() if path.suffix != ".lock"]


def test_the_file_holds_the_mod_cropped_images_one_after_the_other(build: Build, folder: Path) -> None:
    assert build(folder.parent / "store") == 2 * 3 + 1 + 4 + 9 + 2 + 4
    pixels, index = content(folder.parent / "store")
    cropped = [images.mod_crop(images.read_rgb(folder / f"{name}.png"), 4) for name in SIDES]
    assert pixels == b"".join(image.tobytes() for image in cropped)
    described = json.loads(index)
    assert described["patches"] == len(PatchStore(folder.parent / "store")) == 26
    assert described["sha256"] == hashlib.sha256(pixels).hexdigest()
    assert described["images"][1] == {"name": "b", "height": 40, "width": 40, "offset": 48 * 68 * 3}
    assert leftovers(folder.parent / "state") == []


@pytest.mark.parametrize("workers", [2, 5])
def test_any_number_of_workers_writes_the_same_bytes(build: Build, folder: Path, workers: int) -> None:
    build(folder.parent / "one")
    build(folder.parent / "many", workers=workers)
    assert content(folder.parent / "many") == content(folder.parent / "one")


# ---- kinds of images


def kinds() -> dict[str, tuple[Image.Image, tuple[int, int, int]]]:
    """File name -> an image of one colour, and that colour as RGB, by hand."""
    grey_16 = Image.fromarray(np.full((24, 24), 0x1234, np.uint16))
    palette = Image.new("P", (24, 24), 3)
    palette.putpalette([0, 0, 0, 1, 1, 1, 2, 2, 2, 9, 8, 7])
    return {
        "alpha.png": (Image.new("RGBA", (24, 24), (10, 20, 30, 0)), (10, 20, 30)),
        "cmyk.tif": (Image.new("CMYK", (24, 24), (255, 0, 0, 0)), (0, 255, 255)),
        "grey.png": (Image.new("L", (24, 24), 77), (77, 77, 77)),
        "grey_16.png": (grey_16, (0x12, 0x12, 0x12)),
        "grey_alpha.png": (Image.new("LA", (24, 24), (77, 5)), (77, 77, 77)),
        "one_bit.png": (Image.new("1", (24, 24), 1), (255, 255, 255)),
        "palette.png": (palette, (9, 8, 7)),
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_every_kind_of_image_becomes_rgb(tmp_path: Path, index_images: Indexer, workers: int) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, (image, _) in kinds().items():
        image.save(folder / name)
    patch_builder.build(
        index_images(folder), folder, tmp_path / "store",
        size=16, step=8, scale=4, smallest=16, state=tmp_path / "state", workers=workers,
    )  # fmt: skip
    store = PatchStore(tmp_path / "store")
    for number, (name, (_, colour)) in enumerate(sorted(kinds().items())):
        assert (store.image(number) == np.array(colour)).all(), name


def cut(path: Path) -> None:
    """A PNG whose header is whole, and whose pixels are cut off."""
    path.write_bytes(path.read_bytes()[:3000])


def fill(mode: str, value: float) -> Callable[[Path], None]:
    """Overwrite a file with a TIFF of one value."""
    return lambda path: Image.new(mode, (48, 48), value).save(path, format="TIFF")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [(cut, "cannot read image"), (fill("F", 0.5), "floating-point"), (fill("I", 1 << 20), "more than 16 bits")],
)
def test_what_cannot_be_converted_is_refused_by_name(
    build: Build, folder: Path, damage: Callable[[Path], None], reason: str, workers: int
) -> None:
    damage(folder / "c.png")
    damage(folder / "e.png")  # the first in order is named, whichever worker is faster
    with pytest.raises(UserError, match=reason) as raised:
        build(folder.parent / "store", workers=workers)
    assert "c.png" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (folder.parent / "store").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_image_that_changed_or_went_since_fetch_is_refused_by_name(
    build: Build, folder: Path, workers: int
) -> None:
    build(folder.parent / "store", workers=workers)
    images.write_png(folder / "d.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UserError, match=r"d\.png has changed since .*run `dvc repro --force fetch`"):
        build(folder.parent / "store", workers=workers)
    (folder / "d.png").unlink()
    with pytest.raises(UserError, match=r"cannot read .*d\.png \(No such file.*run `dvc repro --force fetch`"):
        build(folder.parent / "store", workers=workers)


def test_small_images_are_left_out_by_name(build: Build, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("s1", "s2", "s3", "s4", "tiny"):
        images.write_png(folder / f"{name}.png", np.zeros((3 if name == "tiny" else 19, 90, 3), np.uint8))
    with caplog.at_level(logging.WARNING):
        build(folder.parent / "store", smallest=20)
    assert [record.getMessage() for record in caplog.records] == [
        "5 of 11 training images are left out, with a side under train.crop (20 px): s1.png, s2.png, s3.png, …"
    ]
    index = json.loads((folder.parent / "store" / INDEX).read_text())
    assert index["left_out"] == ["s1.png", "s2.png", "s3.png", "s4.png", "tiny.png"]
    assert [image["name"] for image in index["images"]] == list(SIDES)


def test_no_image_large_enough_is_one_line(build: Build, folder: Path) -> None:
    with pytest.raises(UserError, match=r"both sides of 128 px.*lower train\.crop"):
        build(folder.parent / "store", smallest=128)


# ---- kills


def interrupt(build: Build, folder: Path, monkeypatch: Patch) -> Path:
    """A build that stops when it comes to d; returns the folder of its state."""
    read = images.read_rgb

    def stop(path: Path) -> images.RGB:
        if path.stem == "d":
            raise KeyboardInterrupt
        return read(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(images, "read_rgb", stop)
        build(folder.parent / "store")
    assert not (folder.parent / "store").exists()
    (state,) = leftovers(folder.parent / "state")
    return state


def test_a_resumed_build_decodes_only_the_rest(
    build: Build, folder: Path, monkeypatch: Patch, decoded: list[str]
) -> None:
    build(folder.parent / "whole")
    interrupt(build, folder, monkeypatch)
    decoded.clear()
    build(folder.parent / "store")
    assert decoded == ["d", "e", "f"]
    assert content(folder.parent / "store") == content(folder.parent / "whole")
    assert leftovers(folder.parent / "state") == []


def test_pixels_that_did_not_reach_the_disk_are_decoded_again(
    build: Build, folder: Path, monkeypatch: Patch, decoded: list[str]
) -> None:
    """After a loss of power a journal can be ahead of the file, or end in half a line."""
    build(folder.parent / "whole")
    state = interrupt(build, folder, monkeypatch)
    with (state / PIXELS).open("r+b") as file:
        file.seek(48 * 68 * 3)  # of b
        file.write(bytes(100))
    journal = state / "journal"
    journal.write_bytes(journal.read_bytes()[:-30])  # of c
    decoded.clear()
    build(folder.parent / "store")
    assert decoded == ["b", "c", "d", "e", "f"]
    assert content(folder.parent / "store") == content(folder.parent / "whole")


@linux_only
def test_a_killed_parallel_build_leaves_no_process_that_holds_the_lock(
    build: Build, folder: Path, monkeypatch: Patch, decoded: list[str]
) -> None:
    build(folder.parent / "whole")
    read = images.read_rgb

    def kill(path: Path) -> images.RGB:
        if path.stem == "e":
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()  # until the end of its parent ends this process too
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(images, "read_rgb", kill)
        process = multiprocessing.get_context("fork").Process(
            target=build, args=(folder.parent / "store",), kwargs={"workers": 2}
        )
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    decoded.clear()
    build(folder.parent / "store")
    assert {"e"} <= set(decoded) < set(SIDES)
    assert content(folder.parent / "store") == content(folder.parent / "whole")


@linux_only
def test_two_builds_of_the_same_patches_do_not_disturb_each_other(build: Build, folder: Path) -> None:
    build(folder.parent / "whole")
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=build, args=(folder.parent / name,)) for name in ("one", "two")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert content(folder.parent / "one") == content(folder.parent / "two") == content(folder.parent / "whole")


def test_what_an_abandoned_build_left_is_deleted(build: Build, folder: Path, monkeypatch: Patch) -> None:
    abandoned = interrupt(build, folder, monkeypatch)
    build(folder.parent / "store", scale=2)
    assert not abandoned.exists()


def test_state_of_other_code_is_not_gone_on_with(
    build: Build, folder: Path, monkeypatch: Patch, decoded: list[str]
) -> None:
    interrupt(build, folder, monkeypatch)
    decoded.clear()
    monkeypatch.setattr(patch_builder.PIL, "__version__", "0")
    build(folder.parent / "store")
    assert decoded == list(SIDES)


# ---- disks and links


def test_a_disk_without_room_is_one_line_before_the_first_image(
    build: Build, folder: Path, monkeypatch: Patch, decoded: list[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 30, 1 << 30, 1000))
    with pytest.raises(UserError, match="0 MiB more are needed, 0 MiB are free: free space"):
        build(folder.parent / "store")
    assert decoded == []


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_a_disk_that_fills_up_while_writing_is_one_line(
    build: Build, folder: Path, monkeypatch: Patch, workers: int
) -> None:
    monkeypatch.setattr(files, "reserve", lambda part, total: part.symlink_to("/dev/full"))
    with pytest.raises(UserError, match="the disk is full: free space and run the same command again"):
        build(folder.parent / "store", workers=workers)


@pytest.mark.parametrize("link", ["symlink", "link"])
def test_a_rebuild_replaces_a_link_and_never_writes_through_it(build: Build, folder: Path, link: str) -> None:
    """With cache.type hardlink or symlink, data/patches holds links to read-only files of DVC's cache."""
    store = folder.parent / "store"
    build(store)
    before = content(store)
    cache = folder.parent / "cache"
    store.rename(cache)
    store.mkdir()
    for name in (PIXELS, INDEX, SUMS):
        (cache / name).chmod(0o444)
        getattr(os, link)(cache / name, store / name)
    build(store, scale=2)
    assert content(store) != before
    assert content(cache) == before
    assert not (store / PIXELS).is_symlink()
    assert (store / PIXELS).stat().st_nlink == 1


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system at /dev/shm")
def test_a_store_on_another_disk_is_copied(build: Build, folder: Path) -> None:
    build(folder.parent / "here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        build(Path(elsewhere) / "there")
        assert content(Path(elsewhere) / "there") == content(folder.parent / "here")
    assert leftovers(folder.parent / "state") == []


def test_a_state_that_cannot_be_written_is_one_line(build: Build, folder: Path) -> None:
    (folder.parent / "state").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        build(folder.parent / "store")
