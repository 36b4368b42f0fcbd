"""Training batches: HR crops and independently degraded LR views of each.

Every draw comes from a counter-based generator keyed by (seed, iteration, sample, purpose): a batch depends on
nothing else, so workers, devices and resumed runs see the same data.
"""

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from blindsr.config.schema import TrainParams
from blindsr.data import images
from blindsr.data.patch_store import PatchStore
from blindsr.plugins.degradations.base import Degradation
from blindsr.plugins.degradations.operators import usm
from blindsr.plugins.degradations.operators.transfer import upload
from blindsr.runtime import devices
from blindsr.runtime.errors import UserError
from blindsr.training.kept import Kept

_WHERE, _VIEWS = 0, 1  # purposes of a sample's generators: where to crop, then one for each view
# HR pixels that a GPU synthesizes at once, of 128 windows of 240 px: with more the host has less to launch for each
# batch; but these need 1.5 GiB
_TOGETHER = 128 * 240**2
_PREPARED = 8192  # bytes of a sample beside its window: three blur kernels, a key, a place
_PUBLIC_CROP = 400  # px: the released code first crops this from a patch, then the training crop from its LR


class Batch(NamedTuple):
    """`lr` (views·N, 3, h, w), all first views, then all second ones and so on; `hr` (N, 3, H, W); both in [0, 1]."""

    lr: Tensor
    hr: Tensor


@dataclass(frozen=True)
class Sources:
    """What the batches of consecutive iterations are made of, one after the other; cheap to send between processes.

    HR windows, of N patches in all, and for each of the views·N samples what its degradation drew.
    """

    windows: Tensor
    """uint8 (N, H, W, 3)."""
    places: Tensor
    """int64 (N, 2): top and left of a patch's crop in its window."""
    draws: list[Any]
    keys: Tensor
    """int64 (views·N): of each sample's generator of noise."""
    prepared: Tensor
    """What the degradation prepares on the CPU."""

    def pin_memory(self) -> "Sources":
        """With tensors that a GPU copies beside its work."""
        pinned = {name: getattr(self, name).pin_memory() for name in ("windows", "places", "keys", "prepared")}
        return replace(self, **pinned)


class Cut(NamedTuple):
    """A training crop: the window's place in an image, whether it is flipped, the crop's place in it after that."""

    image: int
    top: int
    left: int
    flipped: bool
    y: int
    x: int


def generator(seed: int, iteration: int, sample: int, purpose: int) -> np.random.Generator:
    """Make the Philox generator of one purpose of one sample; distinct arguments give independent streams.

    Args:
        seed: Of the run.
        iteration: From 0.
        sample: Number of the patch in the whole batch, from 0.
        purpose: 0 draws where to crop, 1 + v the degradation of view v.
    """
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, sample, iteration]))


class Batches:
    """Item i is the whole batch of iteration i.

    Of several processes that train together, each makes its own part: rank r of R the r-th of R equal runs of
    patches, each with all its views. The parts, views apart, joined in the order of the ranks are the whole batch.
    """

    def __init__(
        self,
        store: PatchStore,
        train: TrainParams,
        degradation: Degradation[Any],
        *,
        seed: int,
        views: int,
        scale: int,
        ranks: int = 1,
        rank: int = 0,
        kept: Kept | None = None,
    ) -> None:
        """A batch has train.batch LR images, of train.batch / views patches.

        Args:
            store: the training images.
            train: settings of training.
            degradation: makes the LR images, as its plug-in's `build` returns it.
            seed: of the run.
            views: degraded views of each patch; a divisor of train.batch.
            scale: HR px along a side of an LR px.
            ranks: processes that train together; they make what one alone would.
            rank: which of them this is: it makes its consecutive part of each batch, all views of a patch.
            kept: where batches made on the CPU are kept, for this rank; None makes each anew.

        Raises:
            UserError: if the training images are smaller than train.crop or than the degradation needs, or a batch
                cannot be divided into views, or its patches among processes, equally.
        """
        self._store, self._train, self._degradation = store, train, degradation
        self._seed, self._views, self._scale = seed, views, scale
        self._window = min(train.window, store.smallest_side // scale * scale)
        if self._window < train.crop:
            raise UserError(f"train.crop {train.crop} is larger than the smallest training image ({self._window} px)")
        least = degradation.least_window(scale)
        if self._window < least:
            raise UserError(
                f"a window of {self._window} px is too small for this degradation: set train.window to at least "
                f"{least}, and train on images that are as large"
            )
        if train.batch % views:
            raise UserError(
                f"train.batch {train.batch} cannot hold {views} views of each patch: set it to a multiple of {views}"
            )
        self._patches = train.batch // views
        if self._patches % ranks:
            raise UserError(
                f"{ranks} processes cannot share the {self._patches} patches of a batch equally: set runtime.devices "
                f"to a divisor of {self._patches}, or change train.batch"
            )
        part = self._patches // ranks
        self._samples = range(rank * part, (rank + 1) * part)
        self._kept = kept

    def __getitem__(self, iteration: int) -> Batch:
        """The batch of an iteration, from 0, made on the CPU; of several ranks, this one's part."""
        make = partial(self._make, iteration)
        return Batch(*self._kept.get(iteration, make)) if self._kept else make()

    def _make(self, iteration: int) -> Batch:
        cut, draws, streams = self._read(iteration)
        windows = torch.stack([self._target(window) for window, _, _ in cut])
        lr = self._degradation.apply(windows.repeat(self._views, 1, 1, 1), draws, streams, self._scale)
        places = torch.tensor([place for _, *place in cut])
        corners = places.repeat(self._views, 1) // self._scale
        crops = _crop(lr, corners, self._train.crop // self._scale), _crop(windows, places, self._train.crop)
        return Batch(*(crop.contiguous() for crop in crops))

    @property
    def together(self) -> int:
        """How many iterations `sources` and `finish` take at once: iteration i is in group i // together."""
        return max(1, _TOGETHER // (self._views * len(self._samples) * self._window**2))

    def item_bytes(self, *, sources: bool) -> int:
        """About how large the tensors of an item of `[]`, or of `sources`, are; a degradation may prepare more."""
        patches, crop = len(self._samples), self._train.crop
        if not sources:
            return 4 * 3 * patches * (crop**2 + self._views * (crop // self._scale) ** 2)
        samples = self.together * self._views * patches
        return 3 * self.together * patches * self._window**2 + samples * _PREPARED

    def sources(self, group: int) -> Sources:
        """Draw and read a group of batches on the CPU, for `finish` to do the rest on a GPU.

        Args:
            group: From 0; it holds `together` iterations, from group · `together` on.

        Returns:
            What these batches are made of; of several ranks, this one's part.
        """
        made = [self._read(group * self.together + number) for number in range(self.together)]
        windows = torch.from_numpy(np.stack([window for cut, _, _ in made for window, _, _ in cut]))
        places = torch.tensor([place for cut, _, _ in made for _, *place in cut])
        draws = [draw for _, drawn, _ in made for draw in drawn]
        keys = torch.tensor([int(stream.integers(2**63)) for _, _, streams in made for stream in streams])
        return Sources(windows, places, draws, keys, self._degradation.prepare(draws))

    def finish(self, sources: Sources, device: torch.device) -> list[Batch]:
        """Make the batches of a group on a device, in a few large operations and without waiting for it.

        The noise of a GPU is another draw of the same distribution; without noise, this is what `[]` gives, up to
        rounding, also while a network trains in TF32.

        Args:
            sources: What `sources` returned.
            device: Where the pixels are worked on.

        Returns:
            A batch for each iteration of the group, in order.
        """
        with devices.tf32(allowed=False):
            return self._finish(sources, device)

    def _finish(self, sources: Sources, device: torch.device) -> list[Batch]:
        windows = sources.windows.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        if self._train.usm_target:
            windows = usm.sharpen(windows)
        count = len(self._samples)
        parts, places = windows.split(count), sources.places.split(count)
        views = torch.cat([part for part in parts for _ in range(self._views)])
        streams = [np.random.Generator(np.random.Philox(key=key)) for key in sources.keys.tolist()]
        lr = self._degradation.apply(
            views, sources.draws, streams, self._scale, prepared=sources.prepared, engine="canvas"
        )
        scale, size = self._scale, self._train.crop
        corners = torch.cat([place for place in places for _ in range(self._views)]) // scale
        lrs = _crop(lr, corners, size // scale).split(self._views * count)
        return [Batch(*pair) for pair in zip(lrs, _crop(windows, sources.places, size).split(count), strict=True)]

    def draws(self, iteration: int) -> list[Any]:
        """What the degradation drew for each LR image of an iteration's batch, in their order; this rank's part."""
        return [self._draw(stream) for stream in self._streams(iteration)]

    def _streams(self, iteration: int) -> list[np.random.Generator]:
        return [
            generator(self._seed, iteration, sample, _VIEWS + view)
            for view in range(self._views)
            for sample in self._samples
        ]

    def _read(self, iteration: int) -> tuple[list[tuple[np.ndarray, int, int]], list[Any], list[np.random.Generator]]:
        """Windows and places of a batch's crops; of its LR images what was drawn, and the generators after that."""
        cut = [self._cut(iteration, sample) for sample in self._samples]
        streams = self._streams(iteration)
        return cut, [self._draw(stream) for stream in streams], streams

    def describe(self, iteration: int) -> list[dict[str, Any]]:
        """Say how each patch of an iteration's whole batch comes about.

        Args:
            iteration: From 0.

        Returns:
            For each patch: "key" of the generator that placed it; its place, as in `Cut`, with the image's name; and
            for each of its "views" a "key" and what the degradation drew. A key is [seed, iteration, sample,
            purpose], as `generator` takes it. All are plain values, as JSON has them.
        """
        described = []
        for sample in range(self._patches):
            cut = self._choose(iteration, sample)
            keys = [[self._seed, iteration, sample, _VIEWS + view] for view in range(self._views)]
            described.append(
                {
                    "key": [self._seed, iteration, sample, _WHERE],
                    **(cut._asdict() | {"image": self._store.name(cut.image)}),
                    "views": [{"key": key, **asdict(self._draw(generator(*key)))} for key in keys],
                }
            )
        return described

    def _draw(self, stream: np.random.Generator) -> Any:
        return self._degradation.draw(stream, self._window, self._window, self._scale)

    def _target(self, window: np.ndarray) -> Tensor:
        image = images.to_float(window)
        # one by one: in a batch, the bits of a product may depend on what else is in it
        return usm.sharpen(image[None])[0] if self._train.usm_target else image

    def _cut(self, iteration: int, sample: int) -> tuple[np.ndarray, int, int]:
        """Synthesis window (uint8) of a sample, flipped or not, and the crop's top-left corner in it."""
        cut, size = self._choose(iteration, sample), self._window
        window = self._store.image(cut.image)[cut.top : cut.top + size, cut.left : cut.left + size]
        return window[:, ::-1] if cut.flipped else window, cut.y, cut.x

    def _choose(self, iteration: int, sample: int) -> Cut:
        draw = generator(self._seed, iteration, sample, _WHERE)
        patch = self._store.window(int(draw.integers(len(self._store))))
        height, width = self._store.image(patch.image).shape[:2]
        top, y = self._place(draw, patch.top, patch.height, height)
        left, x = self._place(draw, patch.left, patch.width, width)
        flipped = bool(self._train.horizontal_flip and draw.integers(2))
        return Cut(patch.image, top, left, flipped, y, self._window - self._train.crop - x if flipped else x)

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


def _crop(batch: Tensor, corners: Tensor, size: int) -> Tensor:
    """Squares of `size` px of images (N, 3, H, W) at their corners (N, 2), top and left.

    In few operations, on the device of the images; the channels of what is returned lie innermost.
    """
    across = torch.arange(size, device=batch.device)
    rows, columns = (upload(corners, batch.device)[:, :, None] + across).unbind(1)
    image = torch.arange(len(batch), device=batch.device)[:, None, None]
    return batch[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
