"""Batches kept on disk: runs of one seed that differ in the regularizer or the backbone see the same ones.

On a CPU making a batch can take longer than a step of a small network. The first run of a seed writes what it makes,
the others read it; a batch that is missing or damaged is made again, so what is kept may be deleted at any time.
"""

import contextlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from blindsr.runtime import files
from blindsr.runtime.errors import UserError


class Kept:
    """A folder with a file for each iteration. Several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: For batches of one kind alone: its name is the hash of all that determines them.
        """
        self._folder = folder

    def get(self, iteration: int, make: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """The LR and HR images of an iteration, the same bits whether they are made or read.

        Args:
            iteration: From 0.
            make: Makes them; called if they are not kept yet. What it returns is kept.

        Raises:
            UserError: if the disk is full or the folder may not be written.
        """
        path = self._folder / f"{iteration:07}.npz"
        # zipfile checks the sum of every array, and whatever else is wrong with a file is one of these
        with (
            contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
            np.load(path) as arrays,
        ):
            return _unpacked(arrays["lr"]), _unpacked(arrays["hr"])
        lr, hr = make()
        try:
            with files.atomic(path) as file:
                np.savez(file, lr=_packed(lr), hr=_packed(hr))
        except UserError as error:
            raise UserError(f"{error}; or set runtime.keep_batches to false, which keeps none") from None
        return lr, hr


def _packed(images: Tensor) -> np.ndarray:
    """As 8-bit levels if they are exactly that: LR images are, and so is an HR that is not sharpened."""
    levels = (images * 255).round().clamp(0, 255).to(torch.uint8)
    exact = torch.equal(levels.float() / 255, images)
    return (levels if exact else images).numpy()


def _unpacked(array: np.ndarray) -> Tensor:
    images = torch.from_numpy(array)
    return images.float() / 255 if images.dtype == torch.uint8 else images
