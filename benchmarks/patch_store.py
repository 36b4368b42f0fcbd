"""How training patches are stored: whole images in one mapped file against patches in compressed files.

`python -m benchmarks.patch_store FOLDER` takes every image below FOLDER, stores the same patches in each way on all
usable cores, and then reads the same random windows from each: size on disk, seconds to build, windows a second in
one process from the page cache. Every way is lossless, and every window is compared.
"""

import argparse
import functools
import hashlib
import io
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from blindsr.acquisition import patch_builder
from blindsr.data import images
from blindsr.data.indices import IndexedImage
from blindsr.data.patch_store import PatchStore, Window, positions
from blindsr.runtime import parallel

ROUNDS = 3  # the ways take turns, so that a busy machine hits them alike
Pixels = images.RGB
Place = tuple[int, int, int]  # patch, top and left in it


class Codec(NamedTuple):
    """A way to store one patch as a file."""

    encode: Callable[[Pixels], bytes]
    decode: Callable[[bytes, Window], Pixels]


def _png(patch: Pixels) -> bytes:
    # the library and the compression of the public extract_subimages script
    return cv2.imencode(".png", patch[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def _from_png(data: bytes, window: Window) -> Pixels:
    bgr = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _webp(patch: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(patch).save(out, "WEBP", lossless=True, quality=0, method=0)  # the fastest
    return out.getvalue()


def _from_webp(data: bytes, window: Window) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _from_zlib(data: bytes, window: Window) -> Pixels:
    return np.frombuffer(zlib.decompress(data), np.uint8).reshape(window.height, window.width, 3)


CODECS = {
    "PNG patches": Codec(_png, _from_png),
    "lossless WebP patches": Codec(_webp, _from_webp),
    "zlib patches": Codec(lambda patch: zlib.compress(patch.tobytes(), 1), _from_zlib),
}
MAPPED = "mapped images"


def encode_image(label: str, folder: Path, size: int, step: int, scale: int, number: int, path: Path) -> None:
    """Write the patches of one image as <number>_<index>."""
    image = images.mod_crop(images.read_rgb(path), scale)
    corners = [
        (top, left) for top in positions(image.shape[0], size, step) for left in positions(image.shape[1], size, step)
    ]
    for index, (top, left) in enumerate(corners):
        patch = np.ascontiguousarray(image[top : top + size, left : left + size])
        (folder / f"{number}_{index}").write_bytes(CODECS[label].encode(patch))


def choose(store: PatchStore, count: int, side: int, seed: int) -> Iterator[Place]:
    """Places of random windows of `side` px in random patches."""
    draw = np.random.default_rng(seed)
    for number in draw.integers(len(store), size=count).tolist():
        window = store.window(number)
        top, left = draw.integers((window.height - side + 1, window.width - side + 1)).tolist()
        yield number, top, left


def read_mapped(store: PatchStore, side: int, place: Place) -> Pixels:
    """A window, copied out of the map."""
    window = store.window(place[0])
    top, left = window.top + place[1], window.left + place[2]
    return store.image(window.image)[top : top + side, left : left + side].copy()


def read_file(store: PatchStore, codec: Codec, files: list[Path], side: int, place: Place) -> Pixels:
    """A window of a patch that is decoded whole."""
    number, top, left = place
    patch = codec.decode(files[number].read_bytes(), store.window(number))
    return patch[top : top + side, left : left + side].copy()


def on_disk(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    """Build, read, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="training images, also in sub-folders")
    parser.add_argument("--size", type=int, default=480, help="px of a patch")
    parser.add_argument("--step", type=int, default=240, help="px between patches")
    parser.add_argument("--window", type=int, default=240, help="px of the windows that are read")
    parser.add_argument("--reads", type=int, default=300, help="windows a round from compressed patches")
    parser.add_argument("--scale", type=int, default=4, help="images are cut to a multiple of it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="patch_store_") as temporary:
        compare(options, Path(temporary))


def compare(options: argparse.Namespace, temporary: Path) -> None:
    """The whole measurement, with its files below `temporary`."""
    cv2.setNumThreads(1)
    size, step, side, scale = options.size, options.step, options.window, options.scale
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in images.SUFFIXES)
    indexed = [index_file(options.folder, path) for path in paths]
    indexed = [image for image in indexed if min(image.width, image.height) // scale * scale >= side]
    kept = [options.folder / image.file for image in indexed]
    cores = parallel.usable_cores()
    seconds = {}

    begin = time.perf_counter()
    patch_builder.build(
        indexed, options.folder, temporary / MAPPED,
        size=size, step=step, scale=scale, smallest=side, state=temporary / "state",
    )  # fmt: skip
    seconds[MAPPED] = time.perf_counter() - begin
    store = PatchStore(temporary / MAPPED)
    readers: dict[str, Callable[[Place], Pixels]] = {MAPPED: functools.partial(read_mapped, store, side)}
    for label, codec in CODECS.items():
        folder = temporary / label
        folder.mkdir()
        begin = time.perf_counter()
        work = functools.partial(encode_image, label, folder, size, step, scale)
        with parallel.in_order(work, range(len(kept)), kept, workers=cores) as done:
            list(done)
        seconds[label] = time.perf_counter() - begin
        files = sorted(folder.iterdir(), key=lambda path: tuple(map(int, path.name.split("_"))))
        assert len(files) == len(store)
        readers[label] = functools.partial(read_file, store, codec, files, side)

    rates: dict[str, list[float]] = {label: [] for label in readers}
    for turn in range(ROUNDS):
        digests = set()
        for label, read in readers.items():
            places = list(choose(store, options.reads, side, turn))
            repeats = 50 if label == MAPPED else 1
            begin = time.perf_counter()
            for _ in range(repeats):
                for place in places:
                    read(place)
            rates[label].append(repeats * len(places) / (time.perf_counter() - begin))
            digests.add(hashlib.sha256(b"".join(read(place).tobytes() for place in places)).hexdigest())
        assert len(digests) == 1, "the ways do not give the same windows"

    table = Table(title=f"{len(kept)} images, {len(store)} patches of {size} px, windows of {side} px, {cores} cores")
    for heading in ("storage", "files", "MiB", "build s", "windows/s", "to PNG"):
        table.add_column(heading, justify="left" if heading == "storage" else "right")
    median = {label: statistics.median(values) for label, values in rates.items()}
    for label in readers:
        folder = temporary / label
        table.add_row(
            label, f"{len(list(folder.iterdir()))}", f"{on_disk(folder) / 2**20:.0f}", f"{seconds[label]:.1f}",
            f"{median[label]:.0f}", f"{median[label] / median['PNG patches']:.2f}×",
        )  # fmt: skip
    Console(width=110).print(table)


def index_file(folder: Path, path: Path) -> IndexedImage:
    """What the fetch stage would note of one image."""
    with Image.open(path) as image:
        width, height = image.size
    name = str(path.relative_to(folder))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return IndexedImage(name=name, file=name, width=width, height=height, sha256=digest)


if __name__ == "__main__":
    main()
