"""Blur kernels, synthesized for a whole batch at once, and the convolution of each image with its own kernel.

The six Gaussian-like kinds and the sinc filter are those of Real-ESRGAN's degradation model, which the paper
trains with; the formulas match `basicsr/data/degradations.py` of the public code at equal parameters. The shifted
Gaussian is BSRGAN's. Every kernel sits in the middle of a 21x21 grid, so kernels of different sizes share one tensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Values = NDArray[np.float64]
GRID = 21  # side of the grid every kernel is padded to, hence the largest kernel

GaussianKind = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
GAUSSIAN_KINDS: tuple[GaussianKind, ...] = get_args(GaussianKind)

# All kernels are symmetric through the centre: only the cells up to it, in reading order, are computed.
_Y, _X = (np.indices((GRID, GRID)).reshape(2, -1)[:, : GRID * GRID // 2 + 1] - GRID // 2).astype(np.float64)
_RADII, _RING = np.unique(np.hypot(_X, _Y), return_inverse=True)  # a sinc has one value per distance
_LINE = np.arange(GRID) - GRID // 2.0
_INSIDE = np.maximum(abs(_X), abs(_Y)) <= np.arange(GRID + 1)[:, None] // 2  # by size

_LANES = 8  # images are cut into this many strips, so that the channel count fills the SIMD lanes of a CPU


@dataclass(frozen=True)
class Kernel:
    """One blur kernel. `size` is odd and at most 21; the other fields count only where `kind` uses them.

    Isotropic kinds read `sigma_x` (pixels); anisotropic ones also `sigma_y` and `rotation` (radians);
    generalized and plateau ones also `beta` (shape, 1 is the plain form); `sinc` reads only `cutoff`
    (radians per pixel, in (0, pi]); `shifted` is isotropic, with its centre moved by `shift` pixels down and right.
    """

    kind: GaussianKind | Literal["sinc", "shifted"]
    size: int
    sigma_x: float = 1.0
    sigma_y: float = 1.0
    rotation: float = 0.0
    beta: float = 1.0
    cutoff: float = torch.pi
    shift: float = 0.0


def gaussian_kernels(
    size: Values, sigma_x: Values, sigma_y: Values, rotation: Values, beta: Values, plateau: NDArray[np.bool_]
) -> Values:
    """Gaussian-like kernels, as Real-ESRGAN draws them (basicsr/data/degradations.py).

    With q the squared Mahalanobis distance from the centre, a kernel is exp(-q^beta / 2), or 1 / (1 + q^beta) where
    `plateau` is true, cut to its size and normalized. All arguments have shape (N,).

    Args:
        size: px, odd, at most 21.
        sigma_x: px, > 0.
        sigma_y: Likewise; equal ones are isotropic.
        rotation: Radians.
        beta: Shape, > 0; 1 is the plain Gaussian.
        plateau: Which of the two forms.

    Returns:
        float64 (N, 21, 21), each summing to 1.
    """
    cos, sin = np.cos(rotation), np.sin(rotation)
    along = (cos / sigma_x)[:, None] * _X + (sin / sigma_x)[:, None] * _Y
    across = (cos / sigma_y)[:, None] * _Y - (sin / sigma_y)[:, None] * _X
    power = along**2 + across**2
    shaped = beta != 1  # most kernels are plain, and a power costs more than all the rest
    power[shaped] **= beta[shaped, None]
    half = np.exp(-0.5 * power)
    half[plateau] = 1 / (1 + power[plateau])
    return _normalized(half, size)


def sinc_kernels(size: Values, cutoff: Values) -> Values:
    """Circular low-pass kernels: cutoff · J1(cutoff · r) / (2π · r) at distance r, with its limit at 0.

    Args:
        size: px, odd, at most 21, (N,).
        cutoff: Radians per px, (N,).

    Returns:
        float64 (N, 21, 21), each summing to 1.
    """
    from scipy import special  # a fifth of a second, which reading the settings is not to pay

    c = cutoff[:, None]
    rings = np.concatenate((c**2 / (4 * np.pi), c * special.j1(c * _RADII[1:]) / (2 * np.pi * _RADII[1:])), axis=1)
    return _normalized(rings[:, _RING], size)


def shifted_kernels(size: Values, sigma: Values, shift: Values) -> Values:
    """Isotropic Gaussian kernels with centres of their own.

    Correlated with one, a pixel shows what lies `shift` px further; the pixels kept of a downscaling by s, every s-th
    from the first, lie (s - 1) / 2 px before the middles of the areas that they stand for. All arguments have shape
    (N,).

    Args:
        size: px, odd, at most 21.
        sigma: px, > 0.
        shift: px, down and right of the middle.

    Returns:
        float64 (N, 21, 21), each summing to 1.
    """
    squares = (_LINE - shift[:, None]) ** 2
    squares[abs(_LINE) > size[:, None] // 2] = np.inf
    nearest = squares.min(axis=1, keepdims=True)  # subtracted, or the narrowest kernels would be 0 everywhere
    line = np.exp((nearest - squares) / (2 * sigma[:, None] ** 2))
    line /= line.sum(axis=1, keepdims=True)
    return np.asarray(line[:, :, None] * line[:, None, :])


def synthesize(specs: Sequence[Kernel | None]) -> Tensor:
    """Compute kernels.

    Args:
        specs: None gives the identity.

    Returns:
        float32 (N, 21, 21) on the CPU, each in the middle of the grid.

    Raises:
        ValueError: for a size that is even, below 1 or above 21.
    """
    for spec in specs:
        if spec is not None and (spec.size % 2 == 0 or not 1 <= spec.size <= GRID):
            raise ValueError(f"kernel size must be odd and at most {GRID}, not {spec.size}")
    result = np.zeros((len(specs), GRID, GRID), dtype=np.float32)
    result[:, GRID // 2, GRID // 2] = 1
    sinc = [(i, spec) for i, spec in enumerate(specs) if spec is not None and spec.kind == "sinc"]
    shifted = [(i, spec) for i, spec in enumerate(specs) if spec is not None and spec.kind == "shifted"]
    bell = [(i, spec) for i, spec in enumerate(specs) if spec is not None and spec.kind not in ("sinc", "shifted")]
    if sinc:
        rows = np.array([(spec.size, spec.cutoff) for _, spec in sinc])
        result[[i for i, _ in sinc]] = sinc_kernels(*rows.T)
    if shifted:
        rows = np.array([(spec.size, spec.sigma_x, spec.shift) for _, spec in shifted])
        result[[i for i, _ in shifted]] = shifted_kernels(*rows.T)
    if bell:
        size, sigma_x, sigma_y, rotation, beta, plateau = np.array([_gaussian_row(spec) for _, spec in bell]).T
        result[[i for i, _ in bell]] = gaussian_kernels(size, sigma_x, sigma_y, rotation, beta, plateau > 0)
    return torch.from_numpy(result)


def blur(images: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each image with its own kernel, borders reflected.

    Args:
        images: (N, 3, H, W).
        kernels: (N, kh, kw), both odd; they are not flipped, as in `filter2D` of the public code (OpenCV's
            convention).

    Returns:
        (N, 3, H, W).

    Raises:
        ValueError: where an image is too small to be reflected by half a kernel.
    """
    n, c, h, w = images.shape
    kh, kw = kernels.shape[-2:]
    if kernels.shape[0] != n or kh % 2 == 0 or kw % 2 == 0:
        raise ValueError(f"{n} images need {n} kernels of odd size, not {tuple(kernels.shape)}")
    if h <= kh // 2 or w <= kw // 2:
        raise ValueError(f"an image of {h}x{w} px is too small for a {kh}x{kw} kernel")
    # On a CPU a depthwise convolution of three channels leaves most SIMD lanes idle. Strips of rows become
    # channels (their halo costs nothing, since only valid outputs are computed): the same bits, 3-5x faster.
    # Widths are rounded up so that few distinct shapes occur and their compiled primitives are reused.
    strips = _LANES if images.device.type == "cpu" else 1
    rows = -(-h // strips)
    spare_w = -w % _LANES if strips > 1 else 0
    padded = F.pad(images, (kw // 2, kw // 2, kh // 2, kh // 2), mode="reflect")
    padded = F.pad(padded, (0, spare_w, 0, rows * strips - h))
    cut = padded.unfold(2, rows + kh - 1, rows).transpose(3, 4)  # (N, C, strips, rows + kh - 1, W')
    groups = n * c * strips
    weight = kernels.to(images).view(n, 1, 1, kh, kw).expand(n, c * strips, 1, kh, kw)
    out = F.conv2d(cut.reshape(1, groups, rows + kh - 1, -1), weight.reshape(groups, 1, kh, kw), groups=groups)
    return out.view(n, c, rows * strips, w + spare_w)[:, :, :h, :w]


def _gaussian_row(spec: Kernel) -> tuple[float, ...]:
    """The arguments of `gaussian_kernels` for one spec, with the fields its kind ignores made neutral."""
    iso = spec.kind.endswith("iso") and not spec.kind.endswith("aniso")
    plain = spec.kind in ("iso", "aniso")
    sigma_y, rotation = (spec.sigma_x, 0.0) if iso else (spec.sigma_y, spec.rotation)
    return spec.size, spec.sigma_x, sigma_y, rotation, 1.0 if plain else spec.beta, spec.kind.startswith("plateau")


def _normalized(half: Values, size: Values) -> Values:
    """Kernels (N, 21, 21) from their first half and centre (N, 221): cut to `size`, mirrored, summing to 1."""
    half = half * _INSIDE[size.astype(np.int64)]
    half /= (2 * half.sum(axis=1) - half[:, -1])[:, None]
    return np.concatenate((half, half[:, -2::-1]), axis=1).reshape(-1, GRID, GRID)
