"""Images on their way through a chain of operators: one chain, two ways to run it.

A degradation writes the order of its operators once, as calls on an `Engine`. `Exact` (here) runs them on each image
at its exact size: the way of a CPU, and the reference. `canvas.Canvas` runs each on all images at once: the way of a
GPU, where launching an operation is what costs. Apart from the rounding of float sums, and from noise, which a GPU
draws by its own generator, both give the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from blindsr.plugins.degradations.operators import blur, jpeg, noise
from blindsr.plugins.degradations.operators.blur import GRID, Kernel
from blindsr.plugins.degradations.operators.noise import Mixing
from blindsr.plugins.degradations.operators.resize import Mode, resize

Size = tuple[int, int]
"""Height and width in px."""
Which = Sequence[int] | None
"""Numbers of the images that an operator works on, each once; None: all."""


@dataclass(frozen=True)
class Noise:
    """Noise of one image.

    `level` is the standard deviation on the scale of 0..255, or the scale of Poisson noise. All channels share one
    map where `grey` is true. `mixing` correlates the channels of Gaussian noise: see `noise.add_gaussian`.
    """

    kind: Literal["gaussian", "poisson"]
    level: float
    grey: bool = False
    mixing: Mixing | None = None


class Engine(ABC):
    """A set of images, each at a size of its own, that operators change one after the other.

    Every argument but `which` has one entry for each image of the set, also where `which` names only some of them.
    """

    sizes: list[Size]
    """Height and width that each image has now."""

    def __init__(self, images: Tensor, streams: Sequence[np.random.Generator]) -> None:
        """A set of float32 images (N, 3, H, W) in [0, 1]; the noise of image i comes from `streams[i]`."""
        self.sizes = [(images.shape[2], images.shape[3])] * len(images)
        self.streams = list(streams)

    @abstractmethod
    def blur(self, specs: Sequence[Kernel | None], kernels: Tensor, which: Which = None) -> None:
        """Correlate each image with its kernel, borders reflected.

        Args:
            specs: None leaves an image as it is.
            kernels: (N, 21, 21), those that `blur.synthesize` makes of `specs`.
            which: the images to blur.
        """

    @abstractmethod
    def resize(self, to: Sequence[Size | float], modes: Sequence[Mode], which: Which = None) -> None:
        """Resize each image; it may leave [0, 1].

        Args:
            to: A size or a factor, as for `resize.resize`.
            modes: Of interpolation.
            which: The images to resize.
        """

    @abstractmethod
    def clamp(self, which: Which = None) -> None:
        """Cut what lies outside of [0, 1]."""

    @abstractmethod
    def noise(self, specs: Sequence[Noise], which: Which = None) -> None:
        """Add noise to each image, and clip to [0, 1].

        Args:
            specs: What noise; an image's own generator draws it.
            which: The images that get any.
        """

    @abstractmethod
    def jpeg(self, qualities: Sequence[float], which: Which = None) -> None:
        """Clip to [0, 1], compress and decompress each image.

        Args:
            qualities: In [1, 100); an entry that is not in `which` may be anything.
            which: The images to compress.
        """

    @abstractmethod
    def images(self) -> Tensor:
        """All images (N, 3, H, W), once they have one size again."""

    def _chosen(self, which: Which) -> Sequence[int]:
        return range(len(self.sizes)) if which is None else which

    def _target(self, number: int, to: Size | float) -> Size:
        """The size that image `number` has after resizing."""
        height, width = self.sizes[number]
        return to if isinstance(to, tuple) else (int(height * to), int(width * to))


class Exact(Engine):
    """Each image is worked on alone at its exact size: the same bits whatever else is in the set."""

    def __init__(self, images: Tensor, streams: Sequence[np.random.Generator]) -> None:
        """As `Engine`."""
        super().__init__(images, streams)
        # another memory format would take other code paths and other roundings
        self._images = list(images.contiguous().split(1))

    def blur(self, specs: Sequence[Kernel | None], kernels: Tensor, which: Which = None) -> None:
        """As `Engine.blur`."""
        for i in self._chosen(which):
            spec = specs[i]
            if spec is not None:
                margin = (GRID - spec.size) // 2  # zeros around a small kernel cost time and change nothing
                kernel = kernels[i : i + 1, margin : GRID - margin, margin : GRID - margin]
                self._images[i] = blur.blur(self._images[i], kernel)

    def resize(self, to: Sequence[Size | float], modes: Sequence[Mode], which: Which = None) -> None:
        """As `Engine.resize`."""
        for i in self._chosen(which):
            self._images[i] = resize(self._images[i], to[i], modes[i])
            self.sizes[i] = self._target(i, to[i])

    def clamp(self, which: Which = None) -> None:
        """As `Engine.clamp`."""
        for i in self._chosen(which):
            self._images[i] = self._images[i].clamp(0, 1)

    def noise(self, specs: Sequence[Noise], which: Which = None) -> None:
        """As `Engine.noise`."""
        for i in self._chosen(which):
            one, image, stream = specs[i], self._images[i], [self.streams[i]]
            if one.kind == "gaussian":
                self._images[i] = noise.add_gaussian(image, [one.level], [one.grey], stream, [one.mixing])
            else:
                self._images[i] = noise.add_poisson(image, [one.level], [one.grey], stream)

    def jpeg(self, qualities: Sequence[float], which: Which = None) -> None:
        """As `Engine.jpeg`."""
        for i in self._chosen(which):
            self._images[i] = jpeg.jpeg(self._images[i].clamp(0, 1), [qualities[i]])

    def images(self) -> Tensor:
        """As `Engine.images`."""
        return torch.cat(self._images)
