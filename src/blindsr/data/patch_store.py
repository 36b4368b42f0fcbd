"""Training images as one memory-mapped uint8 file: any window is read without decoding.

Windows overlap, and so would patches stored one by one: DIV2K's 32,592 patches of 480 px take 22.5 GB of pixels,
its 800 images 6.8 GB. The images are stored whole (`patch_builder` writes them), and the patches are windows into
them, found by arithmetic.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blindsr.runtime import files
from blindsr.runtime.errors import UserError

PIXELS, INDEX, SUMS = "pixels.u8", "index.json", "sums.json"
_AGAIN = "run `blindsr verify`, then `dvc repro patches` (without DVC: delete the folder and run `blindsr patches`)"


class Window(NamedTuple):
    """A patch of a training image: the number of the image, top-left corner and size in px."""

    image: int
    top: int
    left: int
    height: int
    width: int


def count(length: int, size: int, step: int) -> int:
    """Count the windows along one side of an image; `positions` says where they start.

    Args:
        length: Length of the side, in px.
        size: Side of a window, in px.
        step: Distance between the starts of windows, in px.

    Returns:
        Number of windows, >= 1.
    """
    return 1 - (size - length) // step if length > size else 1


def positions(length: int, size: int, step: int) -> list[int]:
    """Starts of the windows along one side of an image.

    The behaviour of the public extract_subimages script with thresh_size 0: every `step` px, and one more window
    flush with the border if any pixel is left over. A side shorter than `size`, which stops that script, gives one
    window of the whole side.

    Args:
        length: As for `count`.
        size: Likewise.
        step: Likewise.

    Returns:
        Starts in px, ascending; the last window ends at the border.
    """
    return [_start(number, length, size, step) for number in range(count(length, size, step))]


def _start(number: int, length: int, size: int, step: int) -> int:
    return max(0, min(number * step, length - size))


def write_index(folder: Path, index: Mapping[str, Any], sums: Sequence[int]) -> None:
    """Write what stands beside the pixels; before that there is no store.

    Args:
        folder: Folder of the store.
        index: As JSON, its "size" and "step" in px, its "images" with name, height, width and offset in bytes.
        sums: CRC-32 of the pixels of each image.

    Raises:
        UserError: where the folder cannot be written.
    """
    content = (json.dumps(index, indent=1, sort_keys=True) + "\n").encode()
    found = {"index": files.sha256(content), "images": list(sums)}
    files.write_atomic(folder / SUMS, json.dumps(found, sort_keys=True) + "\n")
    files.write_atomic(folder / INDEX, content)


class PatchStore:
    """Read windows of the training images; cheap to open, and to hand to worker processes."""

    def __init__(self, folder: Path) -> None:
        """Open what `patch_builder.build` wrote. Raises UserError if it is missing, damaged or cut short."""
        try:
            content = (folder / INDEX).read_bytes()
            index, sums = json.loads(content), json.loads((folder / SUMS).read_bytes())
            if sums["index"] != files.sha256(content):
                raise UserError(f"{folder / INDEX} is not the one that was written: {_AGAIN}")
            # as a plain array, whose slices are cheaper than those of a memmap
            self._pixels = np.asarray(np.memmap(folder / PIXELS, np.uint8, mode="r"))
            self._sums = [int(value) for value in sums["images"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            raise UserError(f"{folder} holds no patch store: {_AGAIN}") from None
        self._folder = folder
        self._size, self._step = int(index["size"]), int(index["step"])
        fields = ("height", "width", "offset")
        self._images = np.array([[image[field] for field in fields] for image in index["images"]], np.int64)
        self._names = [str(image["name"]) for image in index["images"]]
        height, width, offset = self._images[-1]
        if self._pixels.size != offset + height * width * 3:
            raise UserError(f"{folder / PIXELS} is cut short: {_AGAIN}")
        if len(self._sums) != len(self._images):
            raise UserError(f"{folder / SUMS} is damaged: {_AGAIN}")
        self._whole = [False] * len(self._images)
        patches = [self._grid(*image[:2])[0] * self._grid(*image[:2])[1] for image in self._images.tolist()]
        self._ends = np.cumsum(patches)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy in another process opens the file anew, instead of receiving its pixels."""
        return PatchStore, (self._folder,)

    def __len__(self) -> int:
        """Number of patches."""
        return int(self._ends[-1])

    def window(self, number: int) -> Window:
        """Where a patch lies.

        Args:
            number: Number of the patch, from 0: in the order of the images, and in each by rows.

        Returns:
            Its window, smaller than the patch size where the image is.

        Raises:
            IndexError: for a number below 0, or from len(self) on.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"patch {number} of {len(self)}")
        image = int(np.searchsorted(self._ends, number, side="right"))
        height, width, _ = self._images[image].tolist()
        columns = self._grid(height, width)[1]
        in_image = number - (int(self._ends[image - 1]) if image else 0)
        row, column = divmod(in_image, columns)
        size, step = self._size, self._step
        top, left = _start(row, height, size, step), _start(column, width, size, step)
        return Window(image, top, left, min(size, height), min(size, width))

    @property
    def image_count(self) -> int:
        """Number of training images."""
        return len(self._images)

    @property
    def smallest_side(self) -> int:
        """Shortest side of any image, in px: the largest window that can be read from all of them."""
        return int(self._images[:, :2].min())

    def name(self, number: int) -> str:
        """Name of a training image.

        Args:
            number: Number of the image, as in `Window.image`.

        Returns:
            The name without its suffix.
        """
        return self._names[number]

    def image(self, number: int) -> NDArray[np.uint8]:
        """A whole training image.

        Args:
            number: Number of the image, as in `Window.image`.

        Returns:
            RGB uint8 (H, W, 3), read-only, mapped from disk.

        Raises:
            UserError: if its pixels are not those that were written. They are looked at once, by the first call.
        """
        height, width, offset = self._images[number].tolist()
        pixels = self._pixels[offset : offset + height * width * 3]
        if not self._whole[number]:
            if zlib.crc32(pixels.data) != self._sums[number]:
                raise UserError(f"{self._folder / PIXELS} is damaged in image {self.name(number)}: {_AGAIN}")
            self._whole[number] = True
        return pixels.reshape(height, width, 3)

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the patches of an image."""
        return count(height, self._size, self._step), count(width, self._size, self._step)
