"""A network on a photo: colour, grey and transparency, 8 and 16 bits, in tiles that fit into the memory at hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blindsr.apps.photos.photos import Photo
from blindsr.model import inference
from blindsr.model.inference import OutOfMemory, Tile
from blindsr.runtime import devices
from blindsr.runtime.errors import UserError

_BYTES_PER_PIXEL = 1000  # of the SR: about 15 kB for each LR pixel at x4, in any of the four backbones
_SHARE = 0.5  # of the free memory
_SMALLEST = 64 * 64  # LR pixels of an automatic tile
_LUMA = (0.299, 0.587, 0.114)  # BT.601, as Pillow turns colours into grey


class Upscaler:
    """A network, its scale and its tiles: `upscaler(photo)` is the photo, `scale` times as wide and high."""

    def __init__(self, network: nn.Module, scale: int, tile: Tile = "auto", overlap: int | None = None) -> None:
        """`network` where it is to compute; `tile` in LR pixels, with "auto" as large as its free memory allows.

        A tile is given `overlap` LR pixels of its surroundings; None: what `inference.reach` says.
        """
        self.scale = scale
        self._network, self._tile = network, tile
        self._overlap = inference.reach(network) if overlap is None else overlap
        self._device = next((p.device for p in network.parameters()), torch.device("cpu"))

    def __call__(self, photo: Photo, progress: Callable[[int, int], None] = lambda done, count: None) -> Photo:
        """`progress` is called after each tile with the number of tiles done and of all.

        Grey photos go through the network as three equal channels and come back as BT.601 luma. Transparency goes
        through it as grey; colours that cannot be seen are filled from their nearest visible neighbours first, so
        that they leave no fringe. Raises UserError if the memory does not hold even a small tile, or for NaN.
        """
        planes = [_fill_hidden(photo)]
        varying = photo.alpha is not None and bool((photo.alpha != photo.alpha.flat[0]).any())
        if photo.alpha is not None and varying:
            planes.append(photo.alpha[:, :, None])
        results: list[NDArray[Any]] = []
        for number, plane in enumerate(planes):

            def report(done: int, count: int, before: int = number) -> None:
                progress(before * count + done, len(planes) * count)

            results.append(self._upscale(plane, photo.levels, report))
        alpha = results[1][:, :, 0] if varying else None
        if photo.alpha is not None and not varying:
            alpha = np.full(results[0].shape[:2], photo.alpha.flat[0])
        return photo._replace(colour=results[0], alpha=alpha)

    def _upscale(self, pixels: NDArray[Any], levels: int, report: Callable[[int, int], None]) -> NDArray[Any]:
        """(h, w, 1 or 3) → (h · scale, w · scale, the same), each part rounded as soon as it is there."""
        height, width, channels = pixels.shape
        planes = pixels.transpose(2, 0, 1).astype(np.float32, order="C")
        planes /= np.float32(levels)  # torch would multiply by the inverse, which is another rounding
        lr = torch.from_numpy(planes).expand(3, height, width)
        sr = np.empty((height * self.scale, width * self.scale, channels), pixels.dtype)
        budget = int(devices.free_bytes(self._device) * _SHARE) // (_BYTES_PER_PIXEL * self.scale**2)
        while True:
            tile = self._tile
            if tile == "auto":
                tile = inference.rectangle(height, width, max(budget, _SMALLEST), self._overlap)
            count, parts = inference.tiles(self._network, lr, self.scale, tile, self._overlap)
            try:
                for done, part in enumerate(parts, 1):
                    sr[part.rows, part.columns] = _rounded(part.sr[0], levels, channels)
                    report(done, count)
                return sr
            except OutOfMemory:
                # the estimate is of this project's backbones: others may need more
                budget = min(budget, height * width) // 2
                if self._tile != "auto" or budget < _SMALLEST:
                    raise
                devices.free_cache(self._device)


def _rounded(sr: Tensor, levels: int, channels: int) -> NDArray[Any]:
    """A part (3, h, w) of an SR in [0, 1] as (h, w, channels) in 0…levels, half to even."""
    values = sr.float()
    if channels == 1:
        values = (values * values.new_tensor(_LUMA).view(3, 1, 1)).sum(0, keepdim=True)
    values = values.clamp(0, 1).mul_(levels).round_()
    if values.sum().isnan():
        raise UserError("the network makes NaN pixels of it: it diverged in training, take other weights")
    exact = values.to(torch.uint8 if levels == 255 else torch.int32).cpu().numpy()
    return np.stack(tuple(exact), axis=2)  # half the time of a permuted copy


def _fill_hidden(photo: Photo) -> NDArray[Any]:
    """The colours, with those of wholly transparent pixels taken from the nearest others."""
    if photo.alpha is None or photo.alpha.all() or not photo.alpha.any():
        return photo.colour
    from scipy import ndimage  # which only this needs

    nearest = ndimage.distance_transform_edt(photo.alpha == 0, return_distances=False, return_indices=True)
    filled: NDArray[Any] = photo.colour[tuple(nearest)]
    return filled
