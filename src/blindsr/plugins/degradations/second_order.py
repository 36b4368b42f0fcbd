"""The second-order degradation: two passes of blur, resize, noise and JPEG, then a sinc filter.

The model is Real-ESRGAN's (Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
Data", ICCVW 2021), which the paper trains with. Unlike the released code, every parameter is drawn for each sample
(there, resize factors, modes, the kind of noise and the order of the last steps hold for a whole batch), so two views
of one image are two independent degradations.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from blindsr.plugins.degradations.base import Chain
from blindsr.plugins.degradations.operators import ranges
from blindsr.plugins.degradations.operators.blur import GAUSSIAN_KINDS, GRID, Kernel
from blindsr.plugins.degradations.operators.engine import Engine, Noise
from blindsr.plugins.degradations.operators.ranges import Bounds, draw_choice, draw_kernel_size, draw_uniform
from blindsr.plugins.degradations.operators.resize import Mode

_MODES: tuple[Mode, ...] = ("area", "bilinear", "bicubic")
_RESIZING = ("up", "down", "keep")
_FIRST: dict[str, Any] = {
    "kernel_sizes": (7, 21),
    "kernel_probabilities": dict(zip(GAUSSIAN_KINDS, (0.45, 0.25, 0.12, 0.03, 0.12, 0.03), strict=True)),
    "blur_probability": 1.0,
    "sinc_probability": 0.1,
    "sigma": (0.2, 3.0),
    "betag": (0.5, 4.0),
    "betap": (1.0, 2.0),
    "resize_probabilities": {"up": 0.2, "down": 0.7, "keep": 0.1},
    "resize": (0.15, 1.5),
    "gaussian_probability": 0.5,
    "noise_sigma": (1.0, 30.0),
    "poisson_scale": (0.05, 3.0),
    "grey_probability": 0.4,
    "jpeg_quality": (30.0, 95.0),
}
_SECOND = _FIRST | {
    "blur_probability": 0.8,
    "sigma": (0.2, 1.5),
    "resize_probabilities": {"up": 0.3, "down": 0.4, "keep": 0.3},
    "resize": (0.3, 1.2),
    "noise_sigma": (1.0, 25.0),
    "poisson_scale": (0.05, 2.5),
}


def build(
    *,
    first: Mapping[str, Any] | None = None,
    second: Mapping[str, Any] | None = None,
    final_sinc_probability: float = 0.8,
) -> "SecondOrder":
    """The degradation with the released settings, but for those that are given.

    Args:
        first: settings of the first pass, the fields of `PassSettings`; those left out are the released ones.
        second: likewise of the second pass.
        final_sinc_probability: of the sinc filter at the end.

    Raises:
        ValueError: for an unknown setting or a value out of range, in one line that names it.
    """
    return SecondOrder(
        _settings("first", _FIRST, first),
        _settings("second", _SECOND, second),
        ranges.probability("final_sinc_probability", final_sinc_probability),
    )


@dataclass(frozen=True)
class PassSettings:
    """What one pass draws from: ranges are uniform and inclusive.

    `kernel_sizes` are odd, in px; `sigma` is the blur's, in px; `betag` and `betap` are the shapes of generalized and
    plateau kernels; `resize` bounds the factors of "down" and "up"; `noise_sigma` is on the scale of 255.
    """

    kernel_sizes: tuple[int, int]
    kernel_probabilities: dict[str, float]
    blur_probability: float
    sinc_probability: float
    sigma: Bounds
    betag: Bounds
    betap: Bounds
    resize_probabilities: dict[str, float]
    resize: Bounds
    gaussian_probability: float
    noise_sigma: Bounds
    poisson_scale: Bounds
    grey_probability: float
    jpeg_quality: Bounds


@dataclass(frozen=True)
class Pass:
    """Parameters of one pass: `kernel` is None without blur; `noise_level` is a sigma or a Poisson scale."""

    kernel: Kernel | None
    resize: float
    mode: Mode
    noise: Literal["gaussian", "poisson"]
    noise_level: float
    grey: bool
    jpeg_quality: float


@dataclass(frozen=True)
class Drawn:
    """All drawn parameters of one sample. `jpeg_last` tells on which side of the final resize the JPEG is."""

    first: Pass
    second: Pass
    final_sinc: Kernel | None
    final_mode: Mode
    jpeg_last: bool


class SecondOrder(Chain[Drawn]):
    """See the module."""

    def __init__(self, first: PassSettings, second: PassSettings, final_sinc_probability: float) -> None:
        """Settings as `build` has checked them."""
        self.first, self.second, self.final_sinc_probability = first, second, final_sinc_probability

    def draw(self, generator: np.random.Generator, height: int, width: int, scale: int) -> Drawn:
        """As `Degradation.draw`; the window only has to be large enough: the draws do not depend on it."""
        self.require_window(height, width, scale)
        first, second = _draw_pass(self.first, generator), _draw_pass(self.second, generator)
        final_sinc = None
        if generator.random() < self.final_sinc_probability:
            size = draw_kernel_size((7, GRID), generator)
            final_sinc = Kernel("sinc", size, cutoff=draw_uniform((math.pi / 3, math.pi), generator))
        final_mode = draw_choice(_MODES, generator)
        return Drawn(first, second, final_sinc, final_mode, jpeg_last=bool(generator.random() < 0.5))

    def kernels(self, drawn: Drawn) -> Sequence[Kernel | None]:
        """As `Chain.kernels`: those of the two passes and of the end."""
        return drawn.first.kernel, drawn.second.kernel, drawn.final_sinc

    def degrade(self, samples: Engine, draws: Sequence[Drawn], kernels: Tensor, scale: int) -> None:
        """As `Chain.degrade`: the order of the operators."""
        lr = [(height // scale, width // scale) for height, width in samples.sizes]
        first, second = [d.first for d in draws], [d.second for d in draws]
        before = [i for i, d in enumerate(draws) if not d.jpeg_last]
        after = [i for i, d in enumerate(draws) if d.jpeg_last]

        samples.blur([p.kernel for p in first], kernels[0])
        samples.resize([p.resize for p in first], [p.mode for p in first])
        samples.noise([_noise(p) for p in first])
        samples.jpeg([p.jpeg_quality for p in first])

        shrunk = [(int(h * p.resize), int(w * p.resize)) for (h, w), p in zip(lr, second, strict=True)]
        samples.blur([p.kernel for p in second], kernels[1])
        samples.resize(shrunk, [p.mode for p in second])
        samples.noise([_noise(p) for p in second])

        samples.jpeg([p.jpeg_quality for p in second], before)
        samples.resize(lr, [d.final_mode for d in draws])
        samples.blur([d.final_sinc for d in draws], kernels[2])
        samples.jpeg([p.jpeg_quality for p in second], after)

    def least_window(self, scale: int) -> int:
        """As `Degradation.least_window`: whatever shrinks, a border can be reflected and a pixel is left."""
        first, second = (p.kernel_sizes[1] // 2 + 1 if p.blur_probability else 1 for p in (self.first, self.second))
        needs = [(1.0, first), (self.first.resize[0], second), (self.second.resize[0] / scale, 1)]
        needs += [(1 / scale, GRID // 2 + 1 if self.final_sinc_probability else 1)]
        return max(math.ceil(pixels / factor) for factor, pixels in needs)


def _noise(drawn: Pass) -> Noise:
    return Noise(drawn.noise, drawn.noise_level, drawn.grey)


def _settings(name: str, released: dict[str, Any], given: Mapping[str, Any] | None) -> PassSettings:
    """The settings of a pass, checked."""
    values = released | ranges.known(name, given, tuple(released))

    def check(check: Any, key: str, *limits: Any) -> Any:
        return check(f"{name}.{key}", values[key], *limits)

    return PassSettings(
        kernel_sizes=check(ranges.kernel_sizes, "kernel_sizes"),
        kernel_probabilities=check(ranges.distribution, "kernel_probabilities", GAUSSIAN_KINDS),
        blur_probability=check(ranges.probability, "blur_probability"),
        sinc_probability=check(ranges.probability, "sinc_probability"),
        sigma=check(ranges.positive, "sigma", 0.01, 100),
        betag=check(ranges.around_one, "betag", 0.05, 20),
        betap=check(ranges.around_one, "betap", 0.05, 20),
        resize_probabilities=check(ranges.distribution, "resize_probabilities", _RESIZING),
        resize=check(ranges.around_one, "resize", 0.01, 8),
        gaussian_probability=check(ranges.probability, "gaussian_probability"),
        noise_sigma=check(ranges.interval, "noise_sigma", 0, 255),
        poisson_scale=check(ranges.interval, "poisson_scale", 0, 100),
        grey_probability=check(ranges.probability, "grey_probability"),
        jpeg_quality=check(ranges.interval, "jpeg_quality", 1, 99),
    )


def _draw_pass(settings: PassSettings, generator: np.random.Generator) -> Pass:
    kernel = _draw_kernel(settings, generator) if generator.random() < settings.blur_probability else None
    low, high = settings.resize
    bounds = {"up": (1.0, high), "down": (low, 1.0), "keep": (1.0, 1.0)}
    kind = draw_choice(_RESIZING, generator, tuple(settings.resize_probabilities.values()))
    factor = draw_uniform(bounds[kind], generator)
    mode = draw_choice(_MODES, generator)
    gaussian = generator.random() < settings.gaussian_probability
    return Pass(
        kernel=kernel,
        resize=factor,
        mode=mode,
        noise="gaussian" if gaussian else "poisson",
        noise_level=draw_uniform(settings.noise_sigma if gaussian else settings.poisson_scale, generator),
        grey=bool(generator.random() < settings.grey_probability),
        jpeg_quality=draw_uniform(settings.jpeg_quality, generator),
    )


def _draw_kernel(settings: PassSettings, generator: np.random.Generator) -> Kernel:
    size = draw_kernel_size(settings.kernel_sizes, generator)
    if generator.random() < settings.sinc_probability:
        lowest = math.pi / 3 if size < 13 else math.pi / 5  # small kernels cannot hold a lower cutoff
        return Kernel("sinc", size, cutoff=draw_uniform((lowest, math.pi), generator))
    kind = draw_choice(GAUSSIAN_KINDS, generator, tuple(settings.kernel_probabilities.values()))
    sigma_x = draw_uniform(settings.sigma, generator)
    sigma_y, rotation, beta = sigma_x, 0.0, 1.0
    if kind.endswith("aniso"):
        sigma_y = draw_uniform(settings.sigma, generator)
        rotation = draw_uniform((-math.pi, math.pi), generator)
    if kind not in ("iso", "aniso"):
        low, high = settings.betag if kind.startswith("generalized") else settings.betap
        beta = draw_uniform((low, 1.0) if generator.random() < 0.5 else (1.0, high), generator)
    return Kernel(kind, size, sigma_x, sigma_y, rotation, beta)
