"""The second-order degradation of training: two passes of blur, resize, noise and JPEG, then a sinc filter.

The model is Real-ESRGAN's, with the settings of conf/config.yaml. Unlike the released code,
every parameter is drawn for each sample (there, resize factors, modes, the kind of noise and the order of
the last steps hold for a whole batch), so two views of one image are two independent degradations.
`draw` decides, `degrade` does; both depend on nothing but their arguments.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from blindsr.config.schema import DegradationParams, PassParams
from blindsr.plugins.degradations.operators import blur, jpeg, noise
from blindsr.plugins.degradations.operators.blur import GAUSSIAN_KINDS, GRID, Kernel
from blindsr.plugins.degradations.operators.resize import MODES, Mode, resize
from blindsr.runtime.errors import UserError

Choice = TypeVar("Choice")


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
class Degradation:
    """All drawn parameters of one sample. `jpeg_last` tells on which side of the final resize the JPEG is."""

    first: Pass
    second: Pass
    final_sinc: Kernel | None
    final_mode: Mode
    jpeg_last: bool


def draw(
    config: DegradationParams, generator: np.random.Generator, height: int, width: int | None = None, scale: int = 4
) -> Degradation:
    """Draw the degradation of one sample, an HR window of `height` x `width` px (square without `width`).

    The window only has to be large enough; the draws do not depend on it. Raises UserError where the
    strongest shrinking of `config` would leave it smaller than a blur kernel needs.
    """
    side = min(height, height if width is None else width)
    _check_window(config, side, scale)
    first = _draw_pass(config.first, generator)
    second = _draw_pass(config.second, generator)
    final_sinc = None
    if generator.random() < config.final_sinc_probability:
        size = _draw_size((7, GRID), generator)
        final_sinc = Kernel("sinc", size, cutoff=_uniform((math.pi / 3, math.pi), generator))
    final_mode = _choice(MODES, generator)
    return Degradation(first, second, final_sinc, final_mode, jpeg_last=bool(generator.random() < 0.5))


@torch.no_grad()
def degrade(
    hr: Tensor, degradations: Sequence[Degradation], generators: Sequence[np.random.Generator], scale: int = 4
) -> Tensor:
    """LR images (N, 3, H / scale, W / scale), rounded to 8 bits in [0, 1], from HR windows (N, 3, H, W).

    Sample i gets `degradations[i]`, with its noise drawn from `generators[i]`; no other sample has any part
    in its result, down to the last bit. H and W are multiples of `scale`, otherwise any. Kernels are made
    for the whole batch at once, the chain runs sample by sample, since sizes differ after the first resize.
    Raises ValueError for sizes or counts that do not fit, and for images that are not float32.
    """
    if hr.ndim != 4 or hr.shape[1] != 3 or hr.dtype != torch.float32:
        raise ValueError(f"images must be float32 of shape (N, 3, H, W), not {hr.dtype} of {tuple(hr.shape)}")
    n, _, height, width = hr.shape
    if not n or len(degradations) != n or len(generators) != n:
        counts = f"{len(degradations)} degradations and {len(generators)} generators"
        raise ValueError(f"{n} images need as many degradations and generators, not {counts}")
    if height % scale or width % scale:
        raise ValueError(f"the sides of a {height}x{width} image must be multiples of {scale}")
    specs = [(d.first.kernel, d.second.kernel, d.final_sinc) for d in degradations]
    kernels = blur.synthesize([spec for triple in specs for spec in triple]).to(hr.device, non_blocking=True)
    hr = hr.contiguous()  # another memory format would take other code paths and other roundings
    lr = hr.new_empty(n, 3, height // scale, width // scale)
    for i, (degradation, generator) in enumerate(zip(degradations, generators, strict=True)):
        lr[i] = _degrade_one(hr[i : i + 1], degradation, generator, kernels[3 * i : 3 * i + 3], scale)[0]
    return lr.mul_(255).round_().clamp_(0, 255).div_(255)


def _degrade_one(
    image: Tensor, degradation: Degradation, generator: np.random.Generator, kernels: Tensor, scale: int
) -> Tensor:
    first, second = degradation.first, degradation.second
    lr_height, lr_width = image.shape[-2] // scale, image.shape[-1] // scale
    out = _blur(image, first.kernel, kernels[0:1])
    out = resize(out, first.resize, first.mode)
    out = _noise(out, first, generator)
    out = jpeg.jpeg(out, [first.jpeg_quality])

    out = _blur(out, second.kernel, kernels[1:2])
    out = resize(out, (int(lr_height * second.resize), int(lr_width * second.resize)), second.mode)
    out = _noise(out, second, generator)
    if not degradation.jpeg_last:
        out = jpeg.jpeg(out, [second.jpeg_quality])
    out = resize(out, (lr_height, lr_width), degradation.final_mode)
    out = _blur(out, degradation.final_sinc, kernels[2:3])
    if degradation.jpeg_last:
        out = jpeg.jpeg(out.clamp(0, 1), [second.jpeg_quality])
    return out


def _blur(image: Tensor, spec: Kernel | None, kernel: Tensor) -> Tensor:
    if spec is None:
        return image
    margin = (GRID - spec.size) // 2  # zeros around a small kernel cost time and change nothing
    return blur.blur(image, kernel[:, margin : GRID - margin, margin : GRID - margin])


def _noise(image: Tensor, drawn: Pass, generator: np.random.Generator) -> Tensor:
    add = noise.add_gaussian if drawn.noise == "gaussian" else noise.add_poisson
    return add(image, [drawn.noise_level], [drawn.grey], [generator])


def _draw_pass(config: PassParams, generator: np.random.Generator) -> Pass:
    kernel = _draw_kernel(config, generator) if generator.random() < config.blur_probability else None
    low, high = config.resize
    bounds: dict[str, tuple[float, float]] = {"up": (1.0, high), "down": (low, 1.0), "keep": (1.0, 1.0)}
    kind = _choice(tuple(config.resize_probabilities), generator, tuple(config.resize_probabilities.values()))
    factor = _uniform(bounds[kind], generator)
    mode = _choice(MODES, generator)
    gaussian = generator.random() < config.gaussian_probability
    return Pass(
        kernel=kernel,
        resize=factor,
        mode=mode,
        noise="gaussian" if gaussian else "poisson",
        noise_level=_uniform(config.noise_sigma if gaussian else config.poisson_scale, generator),
        grey=bool(generator.random() < config.grey_probability),
        jpeg_quality=_uniform(config.jpeg_quality, generator),
    )


def _draw_kernel(config: PassParams, generator: np.random.Generator) -> Kernel:
    size = _draw_size(config.kernel_sizes, generator)
    if generator.random() < config.sinc_probability:
        lowest = math.pi / 3 if size < 13 else math.pi / 5  # small kernels cannot hold a lower cutoff
        return Kernel("sinc", size, cutoff=_uniform((lowest, math.pi), generator))
    weights = tuple(config.kernel_probabilities.get(kind, 0.0) for kind in GAUSSIAN_KINDS)
    kind = _choice(GAUSSIAN_KINDS, generator, weights)
    sigma_x = _uniform(config.sigma, generator)
    sigma_y, rotation, beta = sigma_x, 0.0, 1.0
    if kind.endswith("aniso"):
        sigma_y, rotation = _uniform(config.sigma, generator), _uniform((-math.pi, math.pi), generator)
    if kind not in ("iso", "aniso"):
        low, high = config.betag if kind.startswith("generalized") else config.betap
        beta = _uniform((low, 1.0) if generator.random() < 0.5 else (1.0, high), generator)
    return Kernel(kind, size, sigma_x, sigma_y, rotation, beta)


def _draw_size(sizes: tuple[int, int], generator: np.random.Generator) -> int:
    return sizes[0] + 2 * int(generator.integers((sizes[1] - sizes[0]) // 2 + 1))


def _uniform(bounds: tuple[float, float], generator: np.random.Generator) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * float(generator.random())


def _choice(
    options: Sequence[Choice], generator: np.random.Generator, weights: Sequence[float] | None = None
) -> Choice:
    return options[int(generator.choice(len(options), p=weights))]


def _check_window(config: DegradationParams, side: int, scale: int) -> None:
    """Refuse a window whose smaller `side` could shrink below what a reflected border or a pixel needs."""
    needs = [(1.0, config.first.kernel_sizes[1] // 2 + 1 if config.first.blur_probability else 1)]
    needs += [
        (config.first.resize[0], config.second.kernel_sizes[1] // 2 + 1 if config.second.blur_probability else 1)
    ]
    needs += [(config.second.resize[0] / scale, 1)]
    needs += [(1 / scale, GRID // 2 + 1 if config.final_sinc_probability else 1)]
    least = max(math.ceil(pixels / factor) for factor, pixels in needs)
    if side < least:
        raise UserError(f"a window of {side} px is too small for this degradation: use at least {least} px")
