"""Writes the patch store: parallel over the images, resumed after a kill, the same bytes for any number of workers.

Where an image lands in the file follows from the sizes in the index. So every process writes its images at their own
offsets into one file of the final size, notes each in a journal, and the order of the work does not matter.
"""

import contextlib
import errno
import functools
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from io import FileIO
from logging import getLogger
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import PIL
from filelock import FileLock, Timeout

from blindsr.data import images, patch_store
from blindsr.data.indices import IndexedImage
from blindsr.data.patch_store import INDEX, PIXELS, count
from blindsr.runtime import files, parallel, provenance
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

_log = getLogger(__name__)
_CHUNK = 1 << 20  # bytes hashed at a time
_NAMED = 3  # files that a warning names


class Placed(NamedTuple):
    """An image and where its pixels go; height and width in px after the mod-crop, offset in bytes."""

    name: str
    path: Path
    sha256: str
    height: int
    width: int
    offset: int

    @property
    def length(self) -> int:
        """Bytes of its pixels."""
        return self.height * self.width * 3


def build(
    indexed: Sequence[IndexedImage],
    folder: Path,
    store: Path,
    *,
    size: int,
    step: int,
    scale: int,
    smallest: int,
    state: Path,
    workers: int | None = None,
) -> int:
    """Write the store of the training images.

    Unfinished work is kept, and what is complete of it is not decoded again.

    Args:
        indexed: The images. Those with a side under `smallest` are left out, with a warning and their names in the
            store's index, since no training crop fits in.
        folder: Where their files lie.
        store: Folder of the store.
        size: px of a patch's side.
        step: px from one patch to the next.
        scale: Upscaling factor; images are mod-cropped to it.
        smallest: px of the training crop's side.
        state: Folder of unfinished work.
        workers: Processes that decode; None: one for each usable core.

    Returns:
        The number of patches.

    Raises:
        UserError: if no image is large enough, or the disk has no room, both before the first image; if an image is
            unreadable or not the one that was indexed.
    """
    placed, left_out = _plan(indexed, folder, scale, smallest)
    if left_out:
        names = ", ".join(left_out[:_NAMED]) + (", …" if len(left_out) > _NAMED else "")
        _log.warning(
            "%d of %d training images are left out, with a side under train.crop (%d px): %s",
            len(left_out), len(indexed), smallest, names,
        )  # fmt: skip
    if not placed:
        raise UserError(f"no training image has both sides of {smallest} px or more: lower train.crop, or add images")
    key = _key(placed, scale)
    try:
        state.mkdir(parents=True, exist_ok=True)
        with _alone(state, key):
            return _build(placed, left_out, store, state / key, size, step, workers or parallel.usable_cores())
    except OSError as error:
        raise files.problem(state, error) from None


def _plan(indexed: Sequence[IndexedImage], folder: Path, scale: int, smallest: int) -> tuple[list[Placed], list[str]]:
    placed: list[Placed] = []
    left_out: list[str] = []
    offset = 0
    for image in indexed:
        height, width = image.height // scale * scale, image.width // scale * scale
        if min(height, width) < max(smallest, 1):
            left_out.append(image.file)
            continue
        placed.append(Placed(image.name, folder / image.file, image.sha256, height, width, offset))
        offset += placed[-1].length
    return placed, left_out


def _key(placed: list[Placed], scale: int) -> str:
    """Hash of all that determines the pixels: state that other images, settings or code left is not resumed."""
    code = provenance.code_digest("patches")
    determining = [scale, PIL.__version__, code, [image[2:] for image in placed]]
    return files.key(determining)[:16]


@contextlib.contextmanager
def _alone(state: Path, key: str) -> Iterator[None]:
    """One build of these images at a time; what other, abandoned builds left is deleted, since it is large."""
    lock = FileLock(state / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.warning("another process builds the same patches: waiting for it")
        lock.acquire()
    try:
        for other in state.glob("*.lock"):
            with contextlib.suppress(Timeout):
                if other.stem != key:
                    with FileLock(other, timeout=0):
                        shutil.rmtree(other.with_suffix(""), ignore_errors=True)
        yield
    finally:
        lock.release()


def _build(
    placed: list[Placed], left_out: list[str], store: Path, state: Path, size: int, step: int, workers: int
) -> int:
    state.mkdir(exist_ok=True)
    part, journal = state / PIXELS, state / "journal"
    total = placed[-1].offset + placed[-1].length
    files.reserve(part, total)
    home = next(parent for parent in store.resolve().parents if parent.exists())
    if home.stat().st_dev != state.stat().st_dev:  # the finished file is copied there
        files.require_free(home, total)
    noted = _read_journal(journal)
    notes = [noted.get(image.sha256) for image in placed]
    digest, sums = hashlib.sha256(), []
    work = functools.partial(_place, part, journal)
    with (
        part.open("rb", buffering=0) as file,  # unbuffered: a buffer would hold what was there before it is written
        parallel.in_order(work, placed, notes, workers=min(workers, len(placed))) as results,
        Bar("patches", len(placed), sum(map(bool, notes))) as bar,
    ):
        for image, note in zip(results, notes, strict=True):
            check = 0
            for chunk in _chunks(file, image):  # the file is whole up to here: hashed while the others decode
                digest.update(chunk)
                check = zlib.crc32(chunk, check)
            sums.append(check)
            if not note:
                bar.advance()
        os.fsync(file.fileno())
    entries = [
        {"name": image.name, "height": image.height, "width": image.width, "offset": image.offset} for image in placed
    ]
    patches = sum(count(image.height, size, step) * count(image.width, size, step) for image in placed)
    index = {"size": size, "step": step, "images": entries, "left_out": left_out, "patches": patches}
    index["sha256"] = digest.hexdigest()  # so that the hash of the index stands for the pixels
    store.mkdir(parents=True, exist_ok=True)
    (store / INDEX).unlink(missing_ok=True)  # never new pixels beside an old index
    files.move(part, store / PIXELS)
    patch_store.write_index(store, index, sums)
    shutil.rmtree(state)
    return patches


def _read_journal(journal: Path) -> dict[str, str]:
    """SHA-256 of an image file -> that of its pixels; lines cut by a kill are ignored."""
    lines = journal.read_text("ascii", "replace").splitlines() if journal.exists() else []
    return {line[:64]: line[65:] for line in lines if len(line) == 129}


def _place(part: Path, journal: Path, image: Placed, note: str | None) -> Placed:
    """Decode an image into its place in `part` and note it, unless what the note says is there already."""
    try:
        with part.open("r+b") as file:
            if note and _pixels_sha256(file, image) == note:
                return image
            pixels = _decode(image)
            file.seek(image.offset)
            file.write(pixels.data)
        with journal.open("ab", buffering=0) as notes:  # one write: lines of several processes do not mix
            notes.write(f"\n{image.sha256} {files.sha256(pixels.data)}".encode())
    except OSError as error:
        raise files.problem(part, error) from None
    return image


def _decode(image: Placed) -> images.RGB:
    try:
        same = files.sha256(image.path) == image.sha256
    except OSError as error:
        raise UserError(f"cannot read {image.path} ({error.strerror}): run `dvc repro --force fetch`") from None
    if not same:
        raise UserError(f"{image.path} has changed since it was indexed: run `dvc repro --force fetch`")
    pixels = images.read_rgb(image.path)[: image.height, : image.width]
    if pixels.shape != (image.height, image.width, 3):
        raise UserError(f"{image.path} decodes to another size than its header says: replace or remove the file")
    return np.ascontiguousarray(pixels)


def _pixels_sha256(file: BinaryIO | FileIO, image: Placed) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(file, image):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: BinaryIO | FileIO, image: Placed) -> Iterator[bytes]:
    """The pixels of an image, as they are in the file."""
    file.seek(image.offset)
    left = image.length
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise OSError(errno.EIO, "the file ends early")
        yield chunk
        left -= len(chunk)
