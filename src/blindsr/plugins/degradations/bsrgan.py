"""BSRGAN's degradation: blur, downsampling, noise and JPEG in an order drawn for each sample, and a last JPEG.

The model of Zhang et al., "Designing a Practical Degradation Model for Deep Blind Image Super-Resolution", ICCV 2021.
Two Gaussian blurs, an isotropic and an anisotropic one, a downsampling in two steps that others may come between,
Gaussian noise and JPEG are shuffled; at ×4 the image may be halved before.

Left out is the paper's sixth part, processed camera sensor noise: it needs the authors' camera pipeline, which is
learned and not here. (Their released code leaves it out, too, where no pipeline is given.)

Numbers are those of the released code (cszn/BSRGAN), with the paper's kernels: of 7 to 21 px (the code has up to
25), one of each kind for every sample (there, either blur is of either kind), and for the nearest downsampling a
Gaussian with its centre moved (there, a centred one that is interpolated). The covariance of correlated noise is
U Λ Uᵀ for a random rotation U (there, the absolute values of such a matrix, which need not be a covariance).
Resizing by "area" is torch's adaptive mean; the code's is OpenCV's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from blindsr.plugins.degradations.base import Chain
from blindsr.plugins.degradations.operators import ranges
from blindsr.plugins.degradations.operators.blur import GRID, Kernel
from blindsr.plugins.degradations.operators.engine import Engine, Noise
from blindsr.plugins.degradations.operators.noise import Mixing
from blindsr.plugins.degradations.operators.ranges import Bounds, draw_choice, draw_kernel_size, draw_uniform
from blindsr.plugins.degradations.operators.resize import Mode

Step = Literal["isotropic", "anisotropic", "shrink", "fit", "noise", "jpeg"]
STEPS: tuple[Step, ...] = get_args(Step)
"""What is shuffled. "shrink" goes to any size, "fit", later, to the size of the LR image."""

_MODES: tuple[Mode, ...] = ("bilinear", "bicubic", "area")
_NOISES = ("colour", "grey", "correlated")


def build(
    *,
    kernel_sizes: Sequence[int] = (7, 21),
    halve_probability: float = 0.25,
    nearest_probability: float = 0.25,
    noise_sigma: Sequence[int] = (2, 25),
    noise_probabilities: Mapping[str, float] | None = None,
    jpeg_probability: float = 0.9,
    jpeg_quality: Sequence[int] = (30, 95),
) -> "Bsrgan":
    """The degradation with the released settings, but for those that are given.

    Args:
        kernel_sizes: smallest and largest of the two blurs' odd sizes, in px.
        halve_probability: of a downsampling by 2 before all else, at ×4 only.
        nearest_probability: that "shrink" blurs and takes every s-th pixel, instead of interpolating to any size.
        noise_sigma: smallest and largest standard deviation of noise, whole numbers on the scale of 255.
        noise_probabilities: of "colour" (independent channels), "grey" (one map for all) and "correlated" noise.
        jpeg_probability: of the JPEG among the shuffled steps; the last JPEG is certain.
        jpeg_quality: smallest and largest quality of both, whole numbers.

    Raises:
        ValueError: for a value out of range, in one line that names it.
    """
    noises = {"colour": 0.4, "grey": 0.4, "correlated": 0.2} if noise_probabilities is None else noise_probabilities
    return Bsrgan(
        Settings(
            kernel_sizes=ranges.kernel_sizes("kernel_sizes", kernel_sizes),
            halve_probability=ranges.probability("halve_probability", halve_probability),
            nearest_probability=ranges.probability("nearest_probability", nearest_probability),
            noise_sigma=ranges.whole("noise_sigma", noise_sigma, 0, 255),
            noise_probabilities=ranges.distribution("noise_probabilities", noises, _NOISES),
            jpeg_probability=ranges.probability("jpeg_probability", jpeg_probability),
            jpeg_quality=ranges.whole("jpeg_quality", jpeg_quality, 1, 99),
        )
    )


@dataclass(frozen=True)
class Settings:
    """The arguments of `build`, checked."""

    kernel_sizes: tuple[int, int]
    halve_probability: float
    nearest_probability: float
    noise_sigma: tuple[int, int]
    noise_probabilities: dict[str, float]
    jpeg_probability: float
    jpeg_quality: tuple[int, int]


@dataclass(frozen=True)
class Drawn:
    """All drawn parameters of one sample."""

    halve: Mode | None
    """How the image is halved before all else, if it is."""
    order: tuple[Step, ...]
    isotropic: Kernel
    anisotropic: Kernel
    shrink: float
    """Divisor of both sides."""
    shrink_mode: Mode
    shrink_blur: Kernel | None
    """Before "nearest"."""
    fit_mode: Mode
    noise: Noise
    jpeg_quality: float | None
    last_jpeg_quality: float


class Bsrgan(Chain[Drawn]):
    """See the module."""

    def __init__(self, settings: Settings) -> None:
        """Settings as `build` has checked them."""
        self.settings = settings

    def draw(self, generator: np.random.Generator, height: int, width: int, scale: int) -> Drawn:
        """As `Degradation.draw`; the window only has to be large enough: the draws do not depend on it."""
        self.require_window(height, width, scale)
        settings = self.settings
        halve = None
        if scale == 4 and generator.random() < settings.halve_probability:
            halve, scale = draw_choice(_MODES, generator), 2
        order = [STEPS[i] for i in generator.permutation(len(STEPS))]
        first, second = sorted((order.index("shrink"), order.index("fit")))
        order[first], order[second] = "shrink", "fit"
        shrink, shrink_blur = float(scale), None
        shrink_mode: Mode = "nearest"
        if generator.random() < settings.nearest_probability:
            sigma = draw_uniform((0.1, 0.6 * scale), generator)
            shrink_blur = Kernel("shifted", GRID, sigma, shift=0.5 * (scale - 1))
        else:
            shrink, shrink_mode = draw_uniform((1.0, 2.0 * scale), generator), draw_choice(_MODES, generator)
        return Drawn(
            halve=halve,
            order=tuple(order),
            isotropic=_draw_isotropic(settings.kernel_sizes, scale, generator),
            anisotropic=_draw_anisotropic(settings.kernel_sizes, scale, generator),
            shrink=shrink,
            shrink_mode=shrink_mode,
            shrink_blur=shrink_blur,
            fit_mode=draw_choice(_MODES, generator),
            noise=_draw_noise(settings, generator),
            jpeg_quality=(
                ranges.draw_whole(settings.jpeg_quality, generator)
                if generator.random() < settings.jpeg_probability
                else None
            ),
            last_jpeg_quality=ranges.draw_whole(settings.jpeg_quality, generator),
        )

    def kernels(self, drawn: Drawn) -> Sequence[Kernel | None]:
        """As `Chain.kernels`: those of the two blurs and of "shrink"."""
        return drawn.isotropic, drawn.anisotropic, drawn.shrink_blur

    def degrade(self, samples: Engine, draws: Sequence[Drawn], kernels: Tensor, scale: int) -> None:
        """As `Chain.degrade`: step by step, each kind of step on the samples that have it at this place."""
        lr = [(height // scale, width // scale) for height, width in samples.sizes]
        halved = [i for i, d in enumerate(draws) if d.halve]
        samples.resize(_divided(samples, [2.0] * len(draws)), [d.halve or "area" for d in draws], halved)
        samples.clamp(halved)
        for steps in zip(*(d.order for d in draws), strict=True):
            which = {step: [i for i, taken in enumerate(steps) if taken == step] for step in STEPS}
            samples.blur([d.isotropic for d in draws], kernels[0], which["isotropic"])
            samples.blur([d.anisotropic for d in draws], kernels[1], which["anisotropic"])
            nearest = [i for i in which["shrink"] if draws[i].shrink_blur]
            samples.blur([d.shrink_blur for d in draws], kernels[2], nearest)
            smaller = _divided(samples, [d.shrink for d in draws])
            samples.resize(smaller, [d.shrink_mode for d in draws], which["shrink"])
            samples.resize(lr, [d.fit_mode for d in draws], which["fit"])
            samples.clamp([*which["shrink"], *which["fit"]])
            samples.noise([d.noise for d in draws], which["noise"])
            compressed = [i for i in which["jpeg"] if draws[i].jpeg_quality is not None]
            samples.jpeg([d.jpeg_quality or 0.0 for d in draws], compressed)
        samples.jpeg([d.last_jpeg_quality for d in draws])

    def least_window(self, scale: int) -> int:
        """As `Degradation.least_window`: a blur comes after shrinking by twice the scale, and reflects the border."""
        reach = self.settings.kernel_sizes[1] // 2
        return max((reach + 1) * 2 * scale, GRID // 2 + 1)


def _divided(samples: Engine, divisors: Sequence[float]) -> list[tuple[int, int]]:
    """The size of each sample, divided and rounded down."""
    return [(int(h / by), int(w / by)) for (h, w), by in zip(samples.sizes, divisors, strict=True)]


def _draw_isotropic(sizes: tuple[int, int], scale: int, generator: np.random.Generator) -> Kernel:
    """Widths of up to 2.4 px at ×2 and 2.8 px at ×4."""
    size = draw_kernel_size(sizes, generator)
    return Kernel("iso", size, draw_uniform((0.1, 2 + 0.2 * scale), generator))


def _draw_anisotropic(sizes: tuple[int, int], scale: int, generator: np.random.Generator) -> Kernel:
    """Eigenvalues of the covariance of up to 6 px² at ×2 and 8 px² at ×4."""
    size = draw_kernel_size(sizes, generator)
    bounds: Bounds = (0.5, 4.0 + scale)
    sigma_x, sigma_y = (math.sqrt(draw_uniform(bounds, generator)) for _ in range(2))
    return Kernel("aniso", size, sigma_x, sigma_y, draw_uniform((0.0, math.pi), generator))


def _draw_noise(settings: Settings, generator: np.random.Generator) -> Noise:
    kind = draw_choice(_NOISES, generator, tuple(settings.noise_probabilities.values()))
    if kind == "correlated":  # the largest level, times eigenvalues of up to 1
        return Noise("gaussian", float(settings.noise_sigma[1]), mixing=_draw_mixing(generator))
    return Noise("gaussian", ranges.draw_whole(settings.noise_sigma, generator), grey=kind == "grey")


def _draw_mixing(generator: np.random.Generator) -> Mixing:
    """U √Λ with a rotation U, each as likely as the others, and Λ uniform in [0, 1].

    A unit quaternion of four normal numbers is such a rotation; a factorization's last bits would differ between
    machines.
    """
    parts = [float(part) for part in generator.standard_normal(4)]
    length = math.sqrt(sum(part * part for part in parts))
    w, x, y, z = (part / length for part in parts)
    rotation = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    a, b, c = (math.sqrt(float(value)) for value in generator.random(3))
    first, second, third = ((row[0] * a, row[1] * b, row[2] * c) for row in rotation)
    return first, second, third
