"""Gaussian and Poisson noise, drawn for each image from its own generator.

On a CPU the draws come straight from the numpy generator of each sample; elsewhere that generator only seeds
one on the device, so that nothing is copied or waited for. Either way an image's noise does not depend on
the batch it is in; the two kinds of device give different draws of the same distribution.
"""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import special
from torch import Tensor

from blindsr.plugins.degradations.operators.transfer import upload

Values = Tensor | Sequence[float]
Mixing = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
"""Rows of a matrix A that makes three independent standard normal channels z the noise A z, of covariance A Aᵀ."""
_ALIAS_BITS = 9  # up to 512 columns
_GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # torchvision's, which the public code converts with


def add_gaussian(
    images: Tensor,
    sigma: Values,
    grey: Sequence[bool],
    generators: Sequence[np.random.Generator],
    mixings: Sequence[Mixing | None] = (),
) -> Tensor:
    """Add normal noise to images, and clip them. Nothing is rounded.

    The public code draws one grey map for a whole batch; here each image has its own.

    Args:
        images: (N, 3, H, W) in [0, 1].
        sigma: Standard deviation in levels of 0..255, (N,).
        grey: Whether the three channels share one noise map, (N,).
        generators: Of each image.
        mixings: If given, a matrix A (3, 3) or None for each image: its channels are correlated, with the covariance
            (sigma / 255)² A Aᵀ.

    Returns:
        (N, 3, H, W) in [0, 1].

    Raises:
        ValueError: for a wrong number of parameters.
    """
    mixings = mixings or [None] * len(images)
    _check(images, sigma, grey, generators, mixings)
    _, channels, h, w = images.shape
    noise = torch.empty_like(images)
    for i, generator in enumerate(generators):
        noise[i] = normal((1 if grey[i] else channels, h, w), generator, images)
        if mixings[i] is not None:
            noise[i] = mix(noise[i : i + 1], mixings[i : i + 1])[0]
    return (noise.mul_(_column(sigma, images) / 255)).add_(images).clamp_(0, 1)


def add_poisson(
    images: Tensor, scale: Values, grey: Sequence[bool], generators: Sequence[np.random.Generator]
) -> Tensor:
    """Add shot noise to images, and clip them. Nothing is rounded.

    With x the image rounded to 8 bits (its luma where `grey` is true) and v the number of distinct values in x,
    rounded up to a power of two, the noise is Poisson(v · x) / v - x: mean 0, variance x / v. The same distribution
    as `add_poisson_noise_pt` of the public code (basicsr/data/degradations.py).

    Args:
        images: (N, 3, H, W) in [0, 1].
        scale: Factor of the noise, (N,).
        grey: Whether the three channels share one noise map, (N,).
        generators: Of each image.

    Returns:
        (N, 3, H, W) in [0, 1].

    Raises:
        ValueError: for a wrong number of parameters.
    """
    _check(images, scale, grey, generators)
    noise = torch.empty_like(images)
    for i, generator in enumerate(generators):
        levels = quantize(luma(images[i]) if grey[i] else images[i])
        peak = distinct_peaks(levels[None])[0]
        noise[i] = poisson(levels, peak, generator).div_(peak).sub_(levels / 255)
    return noise.mul_(_column(scale, images)).add_(images).clamp_(0, 1)


def quantize(images: Tensor) -> Tensor:
    """Values in [0, 1] as whole levels in [0, 255]."""
    return (images * 255).round().clamp_(0, 255)


def luma(images: Tensor) -> Tensor:
    """Grey images (..., 1, H, W) of RGB ones (..., 3, H, W)."""
    red, green, blue = images.split(1, dim=-3)
    return _GREY_WEIGHTS[0] * red + _GREY_WEIGHTS[1] * green + _GREY_WEIGHTS[2] * blue


def distinct_peaks(levels: Tensor, inside: Tensor | None = None) -> Tensor:
    """Count the distinct levels of each image, without waiting for the device.

    Args:
        levels: (N, C, H, W), whole numbers in [0, 255].
        inside: (N, 1, H, W), which pixels count; None: all.

    Returns:
        (N), the counts rounded up to a power of two.
    """
    bins = levels.long() if inside is None else torch.where(inside, levels.long(), 256)
    present = torch.zeros(len(levels), 257, device=levels.device).scatter_(1, bins.flatten(1), 1.0)
    return torch.exp2(present[:, :256].sum(1).log2().ceil())


def mix(noise: Tensor, mixings: Sequence[Mixing | None]) -> Tensor:
    """Multiply the channels of each image's noise by its matrix.

    Args:
        noise: (N, 3, H, W).
        mixings: A matrix (3, 3) for each; None leaves the channels as they are.

    Returns:
        (N, 3, H, W).
    """
    identity = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    matrices = torch.tensor([identity if mixing is None else mixing for mixing in mixings], dtype=noise.dtype)
    return torch.einsum("ndc,nchw->ndhw", upload(matrices, noise.device), noise)


def poisson(levels: Tensor, peak: Tensor, generator: np.random.Generator) -> Tensor:
    """Draw from Poisson(peak · level / 255) for each of the levels.

    Args:
        levels: (C, H, W), whole numbers in [0, 255].
        peak: One number, a power of two.
        generator: Draws itself on a CPU; elsewhere it keys a generator of the device.

    Returns:
        (C, H, W), whole numbers >= 0 in floating point.
    """
    if levels.device.type == "cpu":
        return torch.from_numpy(_draw_counts(levels.numpy().astype(np.uint8), int(peak), generator))
    return poisson_at(levels * (peak / 255), generator)


def poisson_at(rates: Tensor, generator: np.random.Generator) -> Tensor:
    """Draw from a Poisson distribution for each of the rates; their order in memory changes nothing.

    Args:
        rates: Means >= 0, of any shape.
        generator: Keys a generator of their device.

    Returns:
        Whole numbers >= 0, of the shape and type of `rates`.
    """
    return torch.poisson(rates.contiguous(), generator=_on_device(generator, rates))


def normal(shape: tuple[int, ...], generator: np.random.Generator, like: Tensor) -> Tensor:
    """Draw standard normal numbers.

    Args:
        shape: Of the result.
        generator: As for `poisson`.
        like: On the device that the result is to be on.

    Returns:
        float32.
    """
    if like.device.type == "cpu":
        return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    return torch.randn(shape, generator=_on_device(generator, like), device=like.device)


def _draw_counts(levels: npt.NDArray[np.uint8], v: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """One Poisson(v level / 255) draw for each of `levels`, by the alias method: 32 random bits, one look-up."""
    table, bits = _alias_table(v)
    pairs = generator.integers(0, 2**64, -(-levels.size // 2), dtype=np.uint64)
    random = pairs.view(np.uint32)[: levels.size].reshape(levels.shape)
    column = random >> np.uint32(32 - bits)
    cell = table.take((levels.astype(np.uint32) << np.uint32(bits)) | column)
    random <<= np.uint32(bits)  # what is left decides between the column and its alias
    random >>= np.uint32(_ALIAS_BITS)
    refused = random >= cell >> np.uint32(_ALIAS_BITS)
    cell &= np.uint32((1 << _ALIAS_BITS) - 1)
    cell -= column  # wraps around where the alias is smaller, and back again below
    cell *= refused  # arithmetic: a branch on random bits would cost more
    cell += column
    return cell.astype(np.float32)


@functools.cache
def _alias_table(v: int) -> tuple[npt.NDArray[np.uint32], int]:
    """`_alias` packed for look-ups: a flat table of threshold << 9 | alias, and the column bits of its index.

    Thresholds have 23 bits, so that each probability is right to 1e-9.
    """
    accept, alias = _alias(v)
    threshold = np.minimum(np.rint(accept * 2.0**23), 2.0**23 - 1).astype(np.uint32)
    packed = (threshold << np.uint32(_ALIAS_BITS)) | alias.astype(np.uint32)
    return packed.ravel(), alias.shape[1].bit_length() - 1


def _alias(v: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Walker's alias tables of the 256 distributions Poisson(v level / 255), as two arrays (256, columns).

    Column k of a row is kept with probability accept[row, k], else exchanged for alias[row, k]. The columns
    reach far enough that the mass beyond them is below 1e-17.
    """
    columns = 1 << int(v + 12 * v**0.5 + 30).bit_length()
    rates = np.arange(256) * (v / 255)
    count, rate = np.arange(columns), rates[:, None]
    # the very bits of scipy.stats.poisson.pmf, which takes most of a second to import
    mass = np.exp(special.xlogy(count, rate) - special.gammaln(count + 1) - rate)
    mass *= columns / mass.sum(axis=1, keepdims=True)
    accept = np.ones_like(mass)
    alias = np.tile(np.arange(columns), (256, 1))
    rows = np.arange(256)
    # Each row walks its light cells (mass below 1) and its heavy ones in order. A step settles one cell: the
    # next light one, topped up from the current heavy one, or that heavy one, once it has become light.
    order = np.argsort(mass > 1, axis=1, kind="stable")
    heavies = (mass > 1).sum(axis=1)
    light, heavy = np.zeros(256, dtype=np.int64), columns - heavies
    left = mass[rows, order[rows, np.minimum(heavy, columns - 1)]]
    for _ in range(columns):
        now = order[rows, np.minimum(heavy, columns - 1)]
        next_heavy = order[rows, np.minimum(heavy + 1, columns - 1)]
        next_light = order[rows, np.minimum(light, columns - 1)]
        top_up = (left > 1) & (light < columns - heavies) & (heavy < columns)
        exhausted = (left <= 1) & (heavy + 1 < columns)
        i = rows[top_up]
        accept[i, next_light[i]] = mass[i, next_light[i]]
        alias[i, next_light[i]] = now[i]
        left[i] -= 1 - mass[i, next_light[i]]
        light[i] += 1
        i = rows[exhausted]
        accept[i, now[i]] = left[i]
        alias[i, now[i]] = next_heavy[i]
        left[i] = mass[i, next_heavy[i]] - (1 - left[i])
        heavy[i] += 1
    return accept, alias


def _on_device(generator: np.random.Generator, like: Tensor) -> torch.Generator:
    return torch.Generator(like.device).manual_seed(int(generator.integers(2**63)))


def _column(values: Values, images: Tensor) -> Tensor:
    return upload(torch.as_tensor(values, dtype=images.dtype), images.device).view(-1, 1, 1, 1)


def _check(images: Tensor, *parameters: Sequence[object] | Tensor) -> None:
    if any(len(values) != len(images) for values in parameters):
        counts = ", ".join(str(len(values)) for values in parameters)
        raise ValueError(f"{len(images)} images need as many parameters and generators, not {counts}")
