"""A whole set of images in few operations: for a GPU, where launching them is what costs.

Images have sizes of their own after the first resize, so `engine.Exact` goes through them one by one. Here all lie in
the corner of one canvas, and resizing and the reflected borders become products and look-ups that know each image's
size. Nothing waits for the device. Nothing depends on what else is in the set, but for the rounding of float sums.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from blindsr.plugins.degradations.operators import jpeg, noise
from blindsr.plugins.degradations.operators.blur import GRID, Kernel
from blindsr.plugins.degradations.operators.engine import Engine, Noise, Size, Which
from blindsr.plugins.degradations.operators.resize import MODES, Mode
from blindsr.plugins.degradations.operators.transfer import upload

_AREA, _BILINEAR, _NEAREST = (MODES.index(mode) for mode in ("area", "bilinear", "nearest"))
_BLOCK = 16  # px: the canvas is a multiple of JPEG's subsampled blocks
_BICUBIC = -0.75  # torch's


class Canvas(Engine):
    """All images in one tensor, in its top left corner; what lies around an image there is read by nobody."""

    def __init__(self, images: Tensor, streams: Sequence[np.random.Generator]) -> None:
        """As `Engine`."""
        super().__init__(images, streams)
        self._canvas = images

    def blur(self, specs: Sequence[Kernel | None], kernels: Tensor, which: Which = None) -> None:
        """As `Engine.blur`: None is a kernel, the identity, like any other."""

        def blurred(canvas: Tensor, sizes: Sequence[Size]) -> Tensor:
            chosen = kernels if which is None else kernels.index_select(0, upload(list(which), kernels.device))
            return _blur(canvas, chosen, sizes)

        self._change(blurred, which)

    def resize(self, to: Sequence[Size | float], modes: Sequence[Mode], which: Which = None) -> None:
        """As `Engine.resize`."""
        chosen = self._chosen(which)
        if not chosen:
            return
        old = [self.sizes[i] for i in chosen]
        new = [self._target(i, to[i]) for i in chosen]
        for i, size in zip(chosen, new, strict=True):
            self.sizes[i] = size
        targets = [to[i] for i in chosen]
        factors = [None if isinstance(target, tuple) else target for target in targets]
        shape = [-(-max(size[axis] for size in self.sizes) // _BLOCK) * _BLOCK for axis in (0, 1)]
        resized = _resize(self._picked(which), old, new, [modes[i] for i in chosen], factors, shape)
        if which is not None:
            height, width = self._canvas.shape[2:]
            # a negative number crops
            fitting = F.pad(self._canvas, (0, shape[1] - width, 0, shape[0] - height))
            resized = fitting.index_copy(0, upload(list(which), fitting.device), resized)
        self._canvas = resized

    def clamp(self, which: Which = None) -> None:
        """As `Engine.clamp`."""
        self._change(lambda canvas, _: canvas.clamp(0, 1), which)

    def noise(self, specs: Sequence[Noise], which: Which = None) -> None:
        """As `Engine.noise`, and zeros around the images."""
        chosen = self._chosen(which)
        drawn, streams = [specs[i] for i in chosen], [self.streams[i] for i in chosen]
        self._change(lambda canvas, sizes: _noise(canvas, sizes, drawn, streams), which)

    def jpeg(self, qualities: Sequence[float], which: Which = None) -> None:
        """As `Engine.jpeg`; what lies around an image is black, as a codec pads it."""
        wanted = [qualities[i] for i in self._chosen(which)]
        self._change(lambda canvas, sizes: jpeg.jpeg(canvas.clamp(0, 1) * _inside(canvas, sizes), wanted), which)

    def images(self) -> Tensor:
        """As `Engine.images`."""
        height, width = self.sizes[0]
        return self._canvas[..., :height, :width]

    def _picked(self, which: Which) -> Tensor:
        if which is None:
            return self._canvas
        return self._canvas.index_select(0, upload(list(which), self._canvas.device))

    def _change(self, change: Callable[[Tensor, Sequence[Size]], Tensor], which: Which) -> None:
        """Replace images by what `change` makes of them and their sizes, at the same size."""
        if which is None:
            self._canvas = change(self._canvas, self.sizes)
        elif which:
            changed = change(self._picked(which), [self.sizes[i] for i in which])
            self._canvas = self._canvas.index_copy(0, upload(list(which), self._canvas.device), changed)


def _blur(canvas: Tensor, kernels: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Correlate each image with its kernel (N, 21, 21), reflected at its own borders."""
    height, width = canvas.shape[2:]
    rows, columns = (
        _reflected(length, upload([size[axis] for size in sizes], canvas.device))
        for axis, length in enumerate((height, width))
    )
    padded = canvas.take_along_dim(rows[:, None, :, None], 2).take_along_dim(columns[:, None, None, :], 3)
    # a product of spectra is a circular correlation: where a kernel ends inside of the padded image, it is the wanted
    # one. A convolution with a kernel for each image takes a GPU several times longer
    lengths = [next_fast_len(length, real=True) for length in padded.shape[2:]]
    spectra = torch.fft.rfft2(padded, lengths).mul_(torch.fft.rfft2(kernels[:, None], lengths).conj())
    return torch.fft.irfft2(spectra, lengths)[..., :height, :width]


def _reflected(length: int, sizes: Tensor) -> Tensor:
    """Where the pixels of padded lines come from, (N, length + 20), for lines of `sizes` (N) pixels."""
    reach = GRID // 2
    position = torch.arange(-reach, length + reach, device=sizes.device).abs()
    last = sizes[:, None] - 1
    return (last - (last - position).abs()).clamp_min(0)  # what is further out is read by nobody


def _resize(
    canvas: Tensor,
    sizes: Sequence[Size],
    new: Sequence[Size],
    modes: Sequence[Mode],
    factors: Sequence[float | None],
    shape: Sequence[int],
) -> Tensor:
    """A canvas of `shape` with each image resized from its size to its new one.

    A factor that is not None fixes the spacing of the new pixels. As torch's interpolation without antialiasing,
    along each side a product with a matrix per image.
    """
    kind = upload([MODES.index(mode) for mode in modes], canvas.device)
    matrices = []
    for axis in (0, 1):
        old, wanted = [size[axis] for size in sizes], [size[axis] for size in new]
        steps = [a / b for a, b in zip(old, wanted, strict=True)]
        for i, factor in enumerate(factors):
            if factor is not None:
                # these two of torch's copy a side that keeps its length, whatever the factor; the others do not
                copied = old[i] == wanted[i] and modes[i] in ("bilinear", "nearest")
                steps[i] = 1.0 if copied else 1 / factor
        numbers = upload(old, canvas.device), upload(wanted, canvas.device), upload(steps, canvas.device)
        matrices.append(_matrix(*numbers, kind, shape[axis], canvas.shape[2 + axis], nearest="nearest" in modes))
    return matrices[0][:, None] @ canvas @ matrices[1][:, None].mT


def _matrix(
    old: Tensor, new: Tensor, step: Tensor, kind: Tensor, rows: int, columns: int, *, nearest: bool
) -> Tensor:
    """(N, rows, columns): what each of `old` pixels gives to each of `new`, 0 outside of those; all (N).

    `nearest` tells whether any is of that kind, which a tensor on a GPU could not tell without a wait.
    """
    old, new, step, kind = (values.view(-1, 1, 1) for values in (old, new, step, kind))
    i = torch.arange(rows, device=old.device).view(1, -1, 1)
    j = torch.arange(columns, device=old.device)
    source = (i + 0.5) * step.float() - 0.5
    linear = kind == _BILINEAR
    source = torch.where(linear, source.clamp_min(0), source)
    base = source.floor()
    t = source - base
    a = _BICUBIC
    cubic = torch.cat([_far(1 + t, a), _near(t, a), _near(1 - t, a), _far(2 - t, a)], dim=2)
    zero = torch.zeros_like(t)
    weights = torch.where(linear, torch.cat([zero, 1 - t, t, zero], dim=2), cubic)
    taps = (base.long() + torch.arange(-1, 3, device=old.device)).clamp_min(0).minimum(old - 1)
    matrix = (weights[..., None] * (taps[..., None] == j)).sum(2)  # not scatter_add: a GPU does not fix its order
    start, end = i * old // new, ((i + 1) * old + new - 1) // new
    area = ((j >= start) & (j < end)) / (end - start)
    matrix = torch.where(kind == _AREA, area, matrix)
    if nearest:
        matrix = torch.where(kind == _NEAREST, (j == (i * step.float()).long().minimum(old - 1)).float(), matrix)
    return matrix * (i < new)


def _near(t: Tensor, a: float) -> Tensor:
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _far(t: Tensor, a: float) -> Tensor:
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def _noise(
    canvas: Tensor, sizes: Sequence[Size], drawn: Sequence[Noise], streams: Sequence[np.random.Generator]
) -> Tensor:
    """Noise on each image, and zeros around it: `noise.add_gaussian` or `add_poisson`.

    Only the draws are made image by image, so that they do not depend on the sizes of the others.
    """
    gaussian = [one.kind == "gaussian" for one in drawn]
    scale = [one.level / (255 if normal else 1) for one, normal in zip(drawn, gaussian, strict=True)]
    is_gaussian, is_grey, factor = (
        upload(values, canvas.device).view(-1, 1, 1, 1) for values in (gaussian, [one.grey for one in drawn], scale)
    )
    inside = _inside(canvas, sizes)
    levels = noise.quantize(torch.where(is_grey, noise.luma(canvas), canvas))
    peaks = noise.distinct_peaks(levels, inside)
    shapes = [(1 if one.grey else canvas.shape[1], *size) for one, size in zip(drawn, sizes, strict=True)]
    on_host = canvas.device.type == "cpu"
    rates = levels if on_host else levels * (peaks / 255).view(-1, 1, 1, 1)
    field = torch.zeros_like(canvas)
    for i, (shape, stream) in enumerate(zip(shapes, streams, strict=True)):
        channels, height, width = shape
        if gaussian[i]:
            own = noise.normal(shape, stream, canvas)
        elif on_host:
            own = noise.poisson(rates[i, :channels, :height, :width], peaks[i], stream)
        else:
            own = noise.poisson_at(rates[i, :channels, :height, :width], stream)
        field[i, :, :height, :width] = own
    if any(one.mixing is not None for one in drawn):
        field = noise.mix(field, [one.mixing for one in drawn])
    field = torch.where(is_gaussian, field, field / peaks.view(-1, 1, 1, 1) - levels / 255)
    return field.mul_(factor).add_(canvas).clamp_(0, 1).mul_(inside)


def _inside(canvas: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Which pixels (N, 1, H, W) of the canvas belong to images of these sizes."""
    height, width = (
        torch.arange(length, device=canvas.device) < upload([size[axis] for size in sizes], canvas.device)[:, None]
        for axis, length in enumerate(canvas.shape[2:])
    )
    return height[:, None, :, None] & width[:, None, None, :]
