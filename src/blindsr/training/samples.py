"""Training batches: HR crops and one or two independently degraded LR views of each.

Every draw comes from a counter-based generator keyed by (seed, iteration, sample, purpose): a batch depends on
nothing else, so workers, devices and resumed runs see the same data.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from blindsr import images
from blindsr.datasets.patch_store import PatchStore
from blindsr.degradations import second_order, usm
from blindsr.errors import UserError
from blindsr.settings import DegradationParams, TrainParams

_WHERE, _VIEWS = 0, 1  # purposes of a sample's generators: where to crop, then one for each view
_PUBLIC_CROP = 400  # px: the released code first crops this from a patch, then the training crop from its LR


class Batch(NamedTuple):
    """`lr` (views·N, 3, h, w), all first views and then all second ones; `hr` (N, 3, H, W); both in [0, 1]."""

    lr: Tensor
    hr: Tensor


def generator(seed: int, iteration: int, sample: int, purpose: int) -> np.random.Generator:
    """The Philox generator of one purpose of one sample; distinct arguments give independent streams."""
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, sample, iteration]))


class Batches(Dataset[Batch]):
    """Item i is the whole batch of iteration i (give it to a DataLoader with batch_size=None).

    Of several processes that train together, each makes its own part: rank r of R the r-th of R equal runs of
    patches, each with all its views. The parts, views apart, joined in the order of the ranks are the whole batch.
    """

    def __init__(
        self,
        store: PatchStore,
        train: TrainParams,
        degradation: DegradationParams,
        *,
        seed: int,
        views: int,
        scale: int,
        ranks: int = 1,
        rank: int = 0,
    ) -> None:
        """`views` 1 takes train.batch patches, `views` 2 half as many: equal numbers of LR images.

        Raises UserError if the training images are smaller than train.crop, or the patches of a batch cannot be
        shared equally among `ranks` processes; ValueError for a rank that is none of 0 … ranks - 1.
        """
        if not 0 <= rank < ranks:
            raise ValueError(f"rank must be 0 to {ranks - 1}, not {rank}")
        patches = train.batch // views
        if patches % ranks:
            raise UserError(
                f"train.batch {train.batch} is {patches} patches of {views} views, which {ranks} processes cannot "
                f"share equally: use a number of processes that divides {patches}, or change train.batch"
            )
        self._samples = range(patches * rank // ranks, patches * (rank + 1) // ranks)
        self._store, self._train, self._degradation = store, train, degradation
        self._seed, self._views, self._scale = seed, views, scale
        self._window = min(train.window, store.smallest_side // scale * scale)
        if self._window < train.crop:
            raise UserError(f"train.crop {train.crop} is larger than the smallest training image ({self._window} px)")

    def __getitem__(self, iteration: int) -> Batch:
        """The batch of an iteration, from 0; of several ranks, this one's part of it."""
        cut = [self._cut(iteration, sample) for sample in self._samples]
        windows = torch.stack([self._target(window) for window, _, _ in cut])
        streams = [
            generator(self._seed, iteration, sample, _VIEWS + view)
            for view in range(self._views)
            for sample in self._samples
        ]
        size = self._window
        draws = [second_order.draw(self._degradation, stream, size, size, self._scale) for stream in streams]
        lr = second_order.degrade(windows.repeat(self._views, 1, 1, 1), draws, streams, self._scale)
        places = [(top, left) for _, top, left in cut]
        return Batch(
            _crop(
                lr,
                [(top // self._scale, left // self._scale) for top, left in places * self._views],
                self._train.crop // self._scale,
            ),
            _crop(windows, places, self._train.crop),
        )

    def _target(self, window: np.ndarray) -> Tensor:
        image = images.to_float(window)
        # one by one: in a batch, the bits of a product may depend on what else is in it
        return usm.sharpen(image[None])[0] if self._train.usm_target else image

    def _cut(self, iteration: int, sample: int) -> tuple[np.ndarray, int, int]:
        """Synthesis window (uint8) of a sample, flipped or not, and the crop's top-left corner in it."""
        draw = generator(self._seed, iteration, sample, _WHERE)
        patch = self._store.window(int(draw.integers(len(self._store))))
        image = self._store.image(patch.image)
        (top, y), (left, x) = (
            self._place(draw, start, length, whole)
            for start, length, whole in (
                (patch.top, patch.height, image.shape[0]),
                (patch.left, patch.width, image.shape[1]),
            )
        )
        window = image[top : top + self._window, left : left + self._window]
        if self._train.horizontal_flip and draw.integers(2):
            window, x = window[:, ::-1], self._window - self._train.crop - x
        return window, y, x

    def _place(self, draw: np.random.Generator, start: int, length: int, whole: int) -> tuple[int, int]:
        """Along one side: where the window starts in the image, and the crop in the window.

        The crop falls where the released code lets it fall: a crop of 400 px from the patch, then one on the LR
        grid of that. The window puts real pixels on both sides of it, in eight phases to the LR's 8x8 JPEG blocks.
        """
        crop, scale = self._train.crop, self._scale
        outer = min(_PUBLIC_CROP, length)
        position = start + int(draw.integers(length - outer + 1))
        position += scale * int(draw.integers((outer - crop) // scale + 1))
        margin = (self._window - crop) // scale
        before = max(0, margin // 2 - 4) + int(draw.integers(min(8, margin + 1)))
        least, most = -((whole - self._window - position) // scale), position // scale
        if least > most:  # no window on this crop's grid fits into so small an image: take the next one
            position -= position % scale
            least = most
        before = min(max(before, least), most, margin)
        return position - scale * before, scale * before


def _crop(batch: Tensor, corners: list[tuple[int, int]], size: int) -> Tensor:
    return torch.stack([image[:, y : y + size, x : x + size] for image, (y, x) in zip(batch, corners, strict=True)])
