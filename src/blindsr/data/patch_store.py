"""Training images as one memory-mapped uint8 file: any window is read without decoding.

Windows overlap, and so would patches stored one by one: DIV2K's 32,592 patches of 480 px take 22.5 GB of pixels,
its 800 images 6.8 GB. The images are stored whole (`patch_builder` writes them), and the patches are windows into
them, found by arithmetic.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blindsr.runtime.errors import UserError

PIXELS, INDEX = "pixels.u8", "index.json"


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


class PatchStore:
    """Read windows of the training images; cheap to open, and to hand to worker processes."""

    def __init__(self, folder: Path) -> None:
        """Open the store that `patch_builder.build` wrote. Raises UserError if it is missing or cut short."""
        try:
            index = json.loads((folder / INDEX).read_bytes())
            # as a plain array, whose slices are cheaper than those of a memmap
            self._pixels = np.asarray(np.memmap(folder / PIXELS, np.uint8, mode="r"))
        except (FileNotFoundError, ValueError):
            raise UserError(f"{folder} holds no patch store: run `dvc repro patches`") from None
        self._folder = folder
        self._size, self._step = int(index["size"]), int(index["step"])
        fields = ("height", "width", "offset")
        self._images = np.array([[image[field] for field in fields] for image in index["images"]], np.int64)
        self._names = [str(image["name"]) for image in index["images"]]
        height, width, offset = self._images[-1]
        if self._pixels.size != offset + height * width * 3:
            raise UserError(f"{folder / PIXELS} is cut short: delete {folder} and run `dvc repro patches`")
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
        """
        height, width, offset = self._images[number].tolist()
        return self._pixels[offset : offset + height * width * 3].reshape(height, width, 3)

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the patches of an image."""
        return count(height, self._size, self._step), count(width, self._size, self._step)
