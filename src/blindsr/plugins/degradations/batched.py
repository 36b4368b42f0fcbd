"""The second-order degradation of a whole batch in few operations: for a GPU, where launching them is what costs.

Each sample has its own sizes after the first resize, so `second_order.degrade` goes through them one by one. Here all
lie in the corner of one canvas, and resizing and the reflected borders become products and look-ups that know each
sample's size. The results are those of `second_order.degrade` up to the rounding of float sums; nothing waits for
the device, and nothing depends on what else is in the batch, but for that rounding.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from blindsr.plugins.degradations.operators import blur, jpeg, noise
from blindsr.plugins.degradations.operators.blur import GRID
from blindsr.plugins.degradations.operators.resize import MODES, Mode
from blindsr.plugins.degradations.operators.transfer import upload
from blindsr.plugins.degradations.second_order import Degradation, Pass

Size = tuple[int, int]
_AREA, _BILINEAR = MODES.index("area"), MODES.index("bilinear")
_BLOCK = 16  # px: the canvas is a multiple of JPEG's subsampled blocks
_BICUBIC = -0.75  # torch's


def synthesize(degradations: Sequence[Degradation]) -> Tensor:
    """The three blur kernels of each degradation, (3, N, 21, 21), on the CPU; the identity for none."""
    triples = [(d.first.kernel, d.second.kernel, d.final_sinc) for d in degradations]
    return blur.synthesize([kernel for kernels in zip(*triples, strict=True) for kernel in kernels]).unflatten(
        0, (3, -1)
    )


@torch.no_grad()
def degrade(
    hr: Tensor,
    kernels: Tensor,
    degradations: Sequence[Degradation],
    generators: Sequence[np.random.Generator],
    scale: int = 4,
) -> Tensor:
    """LR images (N, 3, H / scale, W / scale), rounded to 8 bits in [0, 1], from HR windows (N, 3, H, W).

    `kernels` are those of `synthesize`, on the device of `hr`; H and W are multiples of `scale`. Sample i gets
    `degradations[i]`, with its noise drawn from `generators[i]`.
    """
    n, _, height, width = hr.shape
    lr = (height // scale, width // scale)
    firsts, seconds = [d.first for d in degradations], [d.second for d in degradations]
    sizes = [(height, width)] * n

    out = _blur(hr, kernels[0], sizes)
    new = [(int(height * drawn.resize), int(width * drawn.resize)) for drawn in firsts]
    out = _resize(out, sizes, new, [drawn.mode for drawn in firsts], [drawn.resize for drawn in firsts])
    out = _jpeg(_noise(out, new, firsts, generators), new, firsts, range(n))

    sizes, new = new, [(int(lr[0] * drawn.resize), int(lr[1] * drawn.resize)) for drawn in seconds]
    out = _resize(_blur(out, kernels[1], sizes), sizes, new, [drawn.mode for drawn in seconds])
    out = _noise(out, new, seconds, generators)
    out = _jpeg(out, new, seconds, [i for i, d in enumerate(degradations) if not d.jpeg_last])
    out = _resize(out, new, [lr] * n, [d.final_mode for d in degradations])
    out = _blur(out, kernels[2], [lr] * n)
    out = _jpeg(out, [lr] * n, seconds, [i for i, d in enumerate(degradations) if d.jpeg_last])
    return out[..., : lr[0], : lr[1]].mul(255).round_().clamp_(0, 255).div_(255)


def _blur(canvas: Tensor, kernels: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Correlate each sample with its kernel (N, 21, 21), reflected at its own borders."""
    n, channels, height, width = canvas.shape
    rows, columns = (
        _reflected(length, upload([size[axis] for size in sizes], canvas.device))
        for axis, length in enumerate((height, width))
    )
    padded = canvas.take_along_dim(rows[:, None, :, None], 2).take_along_dim(columns[:, None, None, :], 3)
    weight = kernels[:, None].repeat_interleave(channels, 0)
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):  # TF32 errs by a level
        out = F.conv2d(padded.view(1, n * channels, *padded.shape[2:]), weight, groups=n * channels)
    return out.view(n, channels, height, width)


def _reflected(length: int, sizes: Tensor) -> Tensor:
    """Where the pixels of padded lines come from, (N, length + 20), for lines of `sizes` (N) pixels."""
    reach = GRID // 2
    position = torch.arange(-reach, length + reach, device=sizes.device).abs()
    last = sizes[:, None] - 1
    return (last - (last - position).abs()).clamp_min(0)  # what is further out is read by nobody


def _resize(
    canvas: Tensor, sizes: Sequence[Size], new: Sequence[Size], modes: Sequence[Mode], factors: Sequence[float] = ()
) -> Tensor:
    """Each sample resized from its size to its new one; `factors`, if given, fix the spacing of the new pixels.

    As torch's interpolation without antialiasing, along each side a product with a matrix per sample.
    """
    kind = upload([MODES.index(mode) for mode in modes], canvas.device)
    matrices = []
    for axis in (0, 1):
        old, wanted = [size[axis] for size in sizes], [size[axis] for size in new]
        steps = [a / b for a, b in zip(old, wanted, strict=True)]
        if factors:
            # torch's bilinear interpolation copies a side that keeps its length, whatever the factor; others do not
            copied = [a == b and mode == "bilinear" for a, b, mode in zip(old, wanted, modes, strict=True)]
            steps = [1.0 if same else 1 / factor for same, factor in zip(copied, factors, strict=True)]
        rows = -(-max(wanted) // _BLOCK) * _BLOCK
        numbers = upload(old, canvas.device), upload(wanted, canvas.device), upload(steps, canvas.device)
        matrices.append(_matrix(*numbers, kind, rows=rows, columns=canvas.shape[2 + axis]))
    return matrices[0][:, None] @ canvas @ matrices[1][:, None].mT


def _matrix(old: Tensor, new: Tensor, step: Tensor, kind: Tensor, *, rows: int, columns: int) -> Tensor:
    """(N, rows, columns): what each of `old` pixels gives to each of `new`, 0 outside of those; all (N)."""
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
    return torch.where(kind == _AREA, area, matrix) * (i < new)


def _near(t: Tensor, a: float) -> Tensor:
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _far(t: Tensor, a: float) -> Tensor:
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def _noise(
    canvas: Tensor, sizes: Sequence[Size], drawn: Sequence[Pass], generators: Sequence[np.random.Generator]
) -> Tensor:
    """Noise on each sample, and zeros around it: `noise.add_gaussian` or `add_poisson`.

    Only the draws are made sample by sample, so that they do not depend on the sizes of the others.
    """
    gaussian = [one.noise == "gaussian" for one in drawn]
    scale = [one.noise_level / (255 if normal else 1) for one, normal in zip(drawn, gaussian, strict=True)]
    is_gaussian, is_grey, factor = (
        upload(values, canvas.device).view(-1, 1, 1, 1) for values in (gaussian, [one.grey for one in drawn], scale)
    )
    inside = _inside(canvas, sizes)
    levels = noise.quantize(torch.where(is_grey, noise.luma(canvas), canvas))
    peaks = noise.distinct_peaks(levels, inside)
    shapes = [(1 if one.grey else canvas.shape[1], *size) for one, size in zip(drawn, sizes, strict=True)]
    draws = []
    for i, (shape, generator) in enumerate(zip(shapes, generators, strict=True)):
        if gaussian[i]:
            draws.append(noise.normal((math.prod(shape),), generator, canvas))
        else:
            channels, height, width = shape
            draws.append(noise.poisson(levels[i, :channels, :height, :width], peaks[i], generator).flatten())
    field = torch.cat(draws).take(_places(canvas, shapes))
    field = torch.where(is_gaussian, field, field / peaks.view(-1, 1, 1, 1) - levels / 255)
    return field.mul_(factor).add_(canvas).clamp_(0, 1).mul_(inside)


def _places(canvas: Tensor, shapes: Sequence[tuple[int, int, int]]) -> Tensor:
    """Where the pixels (N, C, H, W) of samples of these shapes are in a line that holds one sample after the other.

    All channels of a sample with one channel share it; what lies around a sample gets any place of the line.
    """
    lengths = [math.prod(shape) for shape in shapes]
    numbers = [
        (end - length, *shape) for end, length, shape in zip(accumulate(lengths), lengths, shapes, strict=True)
    ]
    start, channels, height, width = upload(torch.tensor(numbers), canvas.device).T[..., None, None, None]
    channel, row, column = (torch.arange(length, device=canvas.device) for length in canvas.shape[1:])
    channel = channel.view(-1, 1, 1).minimum(channels - 1)
    return (start + (channel * height + row[:, None]) * width + column).clamp_max_(sum(lengths) - 1)


def _jpeg(canvas: Tensor, sizes: Sequence[Size], drawn: Sequence[Pass], which: Sequence[int]) -> Tensor:
    """JPEG of the samples `which`; what lies around a sample is black, as a codec pads it."""
    if not which:
        return canvas
    index = upload(list(which), canvas.device)
    chosen = canvas.index_select(0, index).clamp(0, 1) * _inside(canvas, [sizes[i] for i in which])
    return canvas.index_copy(0, index, jpeg.jpeg(chosen, [drawn[i].jpeg_quality for i in which]))


def _inside(canvas: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Which pixels (N, 1, H, W) of the canvas belong to samples of these sizes."""
    height, width = (
        torch.arange(length, device=canvas.device) < upload([size[axis] for size in sizes], canvas.device)[:, None]
        for axis, length in enumerate(canvas.shape[2:])
    )
    return height[:, None, :, None] & width[:, None, None, :]
