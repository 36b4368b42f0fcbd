"""Training images as one memory-mapped uint8 file: any window is read without decoding.

Windows overlap, and so would patches stored one by one: DIV2K's 32,592 patches of 480 px take 22.5 GB of pixels,
its 800 images 6.8 GB. The images are stored whole, and the patches are windows into them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blindsr import files, images
from blindsr.errors import UserError

PIXELS, INDEX = "pixels.u8", "index.json"


class Window(NamedTuple):
    """A patch of a training image: the number of the image, top-left corner and size in px."""

    image: int
    top: int
    left: int
    height: int
    width: int


def positions(length: int, size: int, step: int) -> list[int]:
    """Starts of the windows along one side of `length` px; the last one ends at the border.

    The behaviour of the public extract_subimages script: every `step` px, and one more window flush with the
    border if any pixel is left over. A side shorter than `size` gives one window of the whole side.
    """
    if length <= size:
        return [0]
    starts = list(range(0, length - size + 1, step))
    return starts if starts[-1] + size == length else [*starts, length - size]


def build(
    sources: Iterable[Path],
    folder: Path,
    *,
    size: int,
    step: int,
    scale: int,
    smallest: int,
    advance: Callable[[], None] = lambda: None,
) -> int:
    """Write the store of the images in `sources`; returns the number of patches.

    Images are mod-cropped to `scale`. Those with a side under `smallest` px are left out with their name in the
    index, since no training crop fits in. Raises UserError if none is left, or an image cannot be read.
    """
    entries: list[dict[str, int | str]] = []
    left_out: list[str] = []
    offset = patches = 0
    digest = hashlib.sha256()
    with files.atomic(folder / PIXELS) as file:
        for path in sources:
            advance()
            image = images.mod_crop(images.read_rgb(path), scale)
            height, width = image.shape[:2]
            if min(height, width) < smallest:
                left_out.append(path.name)
                continue
            pixels = np.ascontiguousarray(image)
            file.write(pixels.data)
            digest.update(pixels.data)
            entries.append({"name": path.stem, "height": height, "width": width, "offset": offset})
            offset += image.size
            patches += len(positions(height, size, step)) * len(positions(width, size, step))
    if not entries:
        raise UserError(f"no training image has both sides of {smallest} px or more: lower train.crop, or add images")
    index = {"size": size, "step": step, "images": entries, "left_out": left_out, "patches": patches}
    index["sha256"] = digest.hexdigest()  # so that the hash of the index stands for the pixels
    files.write_atomic(folder / INDEX, json.dumps(index, indent=1, sort_keys=True) + "\n")
    return patches


class PatchStore:
    """Read windows of the training images; cheap to open, safe to share with worker processes."""

    def __init__(self, folder: Path) -> None:
        """Open the store that `build` wrote. Raises UserError if it is missing or cut short."""
        try:
            index = json.loads((folder / INDEX).read_text())
            self._pixels = np.memmap(folder / PIXELS, np.uint8, mode="r")
        except (FileNotFoundError, ValueError):
            raise UserError(f"{folder} holds no patch store: run `dvc repro patches`") from None
        self._images = index["images"]
        last = self._images[-1]
        if self._pixels.size != last["offset"] + last["height"] * last["width"] * 3:
            raise UserError(f"{folder / PIXELS} is cut short: delete {folder} and run `dvc repro patches`")
        self.windows = [
            Window(number, top, left, min(index["size"], entry["height"]), min(index["size"], entry["width"]))
            for number, entry in enumerate(self._images)
            for top in positions(entry["height"], index["size"], index["step"])
            for left in positions(entry["width"], index["size"], index["step"])
        ]

    def __len__(self) -> int:
        """Number of patches."""
        return len(self.windows)

    @property
    def smallest_side(self) -> int:
        """Shortest side of any image, in px: the largest window that can be read from all of them."""
        return min(min(entry["height"], entry["width"]) for entry in self._images)

    def name(self, number: int) -> str:
        """Name of a training image, without its suffix."""
        return str(self._images[number]["name"])

    def image(self, number: int) -> NDArray[np.uint8]:
        """A whole training image, (H, W, 3) uint8, mapped from disk."""
        entry = self._images[number]
        shape = (entry["height"], entry["width"], 3)
        return self._pixels[entry["offset"] : entry["offset"] + int(np.prod(shape))].reshape(shape)
