"""What a degradation is: how training makes LR images of HR ones.

A degradation draws the parameters of one sample, and applies drawn parameters to a batch, on any device. Most are a
`Chain` of operators, written once and run by either engine of `operators`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from blindsr.plugins.degradations.operators import blur
from blindsr.plugins.degradations.operators.blur import GRID, Kernel
from blindsr.plugins.degradations.operators.canvas import Canvas
from blindsr.plugins.degradations.operators.engine import Engine, Exact
from blindsr.runtime.errors import UserError

Drawn = TypeVar("Drawn")
EngineName = Literal["exact", "canvas"]


class Degradation(ABC, Generic[Drawn]):
    """What `build` of a plug-in returns; it holds settings and no state, so that worker processes can share it.

    `Drawn` is a frozen dataclass of plain values: `dataclasses.asdict` of it goes into JSON.
    """

    @abstractmethod
    def draw(self, generator: np.random.Generator, height: int, width: int, scale: int) -> Drawn:
        """Draw the parameters of one sample, and nothing else, from `generator`.

        Args:
            generator: the sample's own; its noise will be drawn from it, too, after this.
            height: of the HR window that is degraded, in px; a multiple of `scale`.
            width: likewise.
            scale: HR px along a side of an LR px.

        Returns:
            The parameters of one view of the window.

        Raises:
            UserError: for a window smaller than `least_window`.
        """

    @abstractmethod
    def apply(
        self,
        images: Tensor,
        draws: Sequence[Drawn],
        streams: Sequence[np.random.Generator],
        scale: int,
        *,
        prepared: Tensor | None = None,
        engine: EngineName | None = None,
    ) -> Tensor:
        """Degrade a batch.

        Args:
            images: HR windows (N, 3, H, W), float32 in [0, 1]; H and W are multiples of `scale`.
            draws: what `draw` returned for each of them; one window may stand there several times, as views.
            streams: the generator of each one's noise.
            scale: HR px along a side of an LR px.
            prepared: what `prepare` returns for `draws`, if it is there already.
            engine: which of two ways to take, instead of the device's; a degradation with one way ignores it.

        Returns:
            LR images (N, 3, H / scale, W / scale), rounded to 8 bits in [0, 1], without gradients.

        Raises:
            ValueError: for sizes, counts or types that do not fit.
        """

    def prepare(self, draws: Sequence[Drawn]) -> Tensor:
        """Make on the CPU, in a worker process, what `apply` can be given; here, nothing.

        Args:
            draws: What `draw` returned for each sample.

        Returns:
            A tensor that only this degradation reads.
        """
        return torch.empty(0)

    def least_window(self, scale: int) -> int:
        """Find the smallest window that every draw can be applied to.

        Args:
            scale: HR px along a side of an LR px.

        Returns:
            Its shortest side, in HR px; here, that of one LR px.
        """
        return scale

    def require_window(self, height: int, width: int, scale: int) -> None:
        """Refuse a window smaller than `least_window`.

        Args:
            height: Of the window, in HR px.
            width: Likewise.
            scale: HR px along a side of an LR px.

        Raises:
            UserError: that names the size that works.
        """
        least = self.least_window(scale)
        if min(height, width) < least:
            raise UserError(
                f"a window of {min(height, width)} px is too small for this degradation: use at least {least} px"
            )


class Chain(Degradation[Drawn]):
    """A degradation that is a sequence of operators: blur, resizing, noise and JPEG, in any order.

    A subclass defines `draw` and `degrade`, with `kernels` and `least_window` where it blurs.
    """

    @abstractmethod
    def degrade(self, samples: Engine, draws: Sequence[Drawn], kernels: Tensor, scale: int) -> None:
        """Run the chain on a set of samples; it ends with each at its LR size.

        Args:
            samples: HR windows of one size, to call operators on; the parameters of an operator have one entry for
                each sample, and its `which` says which samples it works on.
            draws: the parameters of each sample.
            kernels: (K, N, 21, 21), the k-th blur kernel of each sample.
            scale: HR px along a side of an LR px.
        """

    def kernels(self, drawn: Drawn) -> Sequence[Kernel | None]:
        """List the blur kernels of one sample.

        Args:
            drawn: Its parameters.

        Returns:
            As many for every sample; None is no blur.
        """
        return ()

    def prepare(self, draws: Sequence[Drawn]) -> Tensor:
        """The blur kernels of all samples, (K, N, 21, 21), on the CPU."""
        by_kernel = list(zip(*(self.kernels(drawn) for drawn in draws), strict=True))
        specs = [spec for specs in by_kernel for spec in specs]
        return blur.synthesize(specs).view(len(by_kernel), len(draws), GRID, GRID)

    @torch.no_grad()
    def apply(
        self,
        images: Tensor,
        draws: Sequence[Drawn],
        streams: Sequence[np.random.Generator],
        scale: int,
        *,
        prepared: Tensor | None = None,
        engine: EngineName | None = None,
    ) -> Tensor:
        """As `Degradation.apply`.

        On a CPU a sample's result is the same to the last bit whatever else is in the batch; in the other engine, a
        canvas, it is the same but for the rounding of float sums, and a GPU draws other noise of the same law.
        """
        _check(images, draws, streams, scale)
        kernels = (self.prepare(draws) if prepared is None else prepared).to(images.device, non_blocking=True)
        if (engine or ("exact" if images.device.type == "cpu" else "canvas")) == "canvas":
            lr = self._run(Canvas(images, streams), draws, kernels, scale)
        else:  # sample by sample, so that each stays in the cache from its first operator to its last
            each = (slice(i, i + 1) for i in range(len(images)))
            parts = [(Exact(images[i], streams[i]), draws[i], kernels[:, i]) for i in each]
            lr = torch.cat([self._run(*part, scale) for part in parts])
        return lr.mul(255).round_().clamp_(0, 255).div_(255)

    def _run(self, samples: Engine, draws: Sequence[Drawn], kernels: Tensor, scale: int) -> Tensor:
        height, width = samples.sizes[0]
        self.degrade(samples, draws, kernels, scale)
        if set(samples.sizes) != {(height // scale, width // scale)}:
            raise ValueError(f"the chain must end at {height // scale}x{width // scale} px, not {samples.sizes}")
        return samples.images()


def _check(images: Tensor, draws: Sequence[object], streams: Sequence[object], scale: int) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.float32:
        raise ValueError(f"images must be float32 of shape (N, 3, H, W), not {images.dtype} of {tuple(images.shape)}")
    n, _, height, width = images.shape
    if not n or len(draws) != n or len(streams) != n:
        counts = f"{len(draws)} degradations and {len(streams)} generators"
        raise ValueError(f"{n} images need as many degradations and generators, not {counts}")
    if height % scale or width % scale:
        raise ValueError(f"the sides of a {height}x{width} image must be multiples of {scale}")
