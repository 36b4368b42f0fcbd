"""Batches kept on disk: runs of one seed that differ in the regularizer or the backbone see the same ones.

On a CPU making a batch can take longer than a step of a small network. The first run of a seed writes what it makes,
the others read it; a batch that is missing or damaged is made again, so what is kept may be deleted at any time.
"""

import contextlib
import io
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
        path = self._folder / f"{iteration:07}.batch"
        with contextlib.suppress(OSError, ValueError):
            content = io.BytesIO(files.unsealed(path, _name(path)))
            return _unpacked(np.load(content)), _unpacked(np.load(content))
        lr, hr = make()
        made = io.BytesIO()
        np.save(made, _packed(lr))
        np.save(made, _packed(hr))
        try:
            with files.atomic(path) as file:
                file.write(files.seal(made.getbuffer(), _name(path)))
                file.write(made.getbuffer())
        except UserError as error:
            raise UserError(f"{error}; or set runtime.keep_batches to false, which keeps none") from None
        return lr, hr


def is_whole(path: Path) -> bool:
    """Whether a file is a batch as it was kept."""
    try:
        files.unsealed(path, _name(path))
    except (OSError, ValueError):
        return False
    return True


def _name(path: Path) -> str:
    """What tells a batch from others: its iteration, and the kind that the folder stands for."""
    return f"{path.parent.name}/{path.name}"


def _packed(images: Tensor) -> np.ndarray:
    """As 8-bit levels if they are exactly that: LR images are, and so is an HR that is not sharpened."""
    levels = (images * 255).round().clamp(0, 255).to(torch.uint8)
    exact = torch.equal(levels.float() / 255, images)
    return (levels if exact else images).numpy()


def _unpacked(array: np.ndarray) -> Tensor:
    images = torch.from_numpy(array)
    return images.float() / 255 if images.dtype == torch.uint8 else images
