"""Distances between the statistics of two views' features: what `linear` and `rff` share."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_PIXELS = 512  # of every sample, worked on at once on a CPU
_BLOCKS = 32  # of a sample's pixels, on a GPU: a product over all at once would occupy few of its processors


def subsampled(a: Tensor, b: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Take both views' features on one grid of every stride-th pixel in each direction.

    The grid's offset is drawn anew in each call, from torch's default generator of the CPU, so that every pixel has
    its turn.

    Args:
        a: Features (B, C, H, W) of one view.
        b: Those of the other.
        stride: 1 takes all pixels and draws nothing.

    Returns:
        Both at those pixels, not copied.
    """
    if stride == 1:
        return a, b
    top, left = (int(offset) for offset in torch.randint(stride, (2,)))
    return a[:, :, top::stride, left::stride], b[:, :, top::stride, left::stride]


class RandomMap(NamedTuple):
    """φ(x) = scale·cos(Wx + b), from R^C to R^D."""

    weight: Tensor
    """W (D, C)."""
    phase: Tensor
    """b (D)."""
    scale: float

    def waves(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """cos(Wx + b), which is φ without its scale, and sin(Wx + b), of pixels (B, C, n): both (B, D, n)."""
        weight = self.weight.expand(len(pixels), -1, -1)
        if _at_once(pixels):  # a pixel's numbers lie side by side, as in its features
            angle = torch.baddbmm(self.phase, pixels.mT, weight.mT).mT
        else:
            angle = torch.baddbmm(self.phase[:, None], weight, pixels)
        return angle.cos(), angle.sin_()


def statistics_distance(a: Tensor, b: Tensor, mapped: RandomMap | None = None) -> Tensor:
    """‖μ(a)-μ(b)‖² + ‖Σ(a)-Σ(b)‖_F² of each pair of samples a and b, mean over the batch.

    μ (C) and Σ (C, C) are mean and covariance (divided by N) over the N pixels of one sample.

    Args:
        a: Features (B, C, N) of one view.
        b: Those of the same samples in the other.
        mapped: φ, whose statistics of φ(a) and φ(b) are added likewise; it gets no gradient.

    Returns:
        Scalar >= 0.
    """
    distance: Tensor = _StatisticsDistance.apply(a, b, mapped)
    return distance


class _StatisticsDistance(torch.autograd.Function):
    """With its gradient written out: half the matrix products that autograd makes of it, and few passes over memory.

    With d = a - b and s = a + b, Σ(a) - Σ(b) = (s dᵀ + d sᵀ) / 2N if d is centred: one product instead of two,
    and no cancellation between nearly equal covariances. On a CPU the pixels come in parts that its cache holds.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, mapped: RandomMap | None) -> Tensor:
        mean_a, mean_b = a.mean(2, keepdim=True), b.mean(2, keepdim=True)
        gap = _Gap(len(a), a.shape[1], a, mean_a - mean_b)
        gap_mapped = _Gap(len(a), len(mapped.phase) if mapped else 0, a)
        waves = []
        for x, y in zip(_parts(a), _parts(b), strict=True):
            gap.add(x, y)
            if mapped:
                waves += [*mapped.waves(x), *mapped.waves(y)]
                gap_mapped.add(waves[-4], waves[-2])
        of_raw, of_mapped = gap.result(a.shape[2]), gap_mapped.result(a.shape[2])
        ctx.save_for_backward(a, b, *of_raw, *of_mapped, *waves)
        ctx.mapped, scale = mapped, mapped.scale if mapped else 0.0
        costs = [gap.square().sum() for gap in (*of_raw[:2], *of_mapped[:2])]
        return (costs[0] + costs[1] + scale**2 * costs[2] + scale**4 * costs[3]) / len(a)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """For a: (2 Δμ + 4 ΔΣ (a - μ(a))) / N, and that of φ(a) times φ's slope; for b with the opposite sign."""
        a, b, *saved = ctx.saved_tensors
        of_raw, of_mapped, waves = saved[:3], saved[3:6], saved[6:]
        mapped: RandomMap | None = ctx.mapped
        factor = gradient / (a.shape[0] * a.shape[2])
        gradients: list[Tensor | None] = []
        for number, view in enumerate((a, b)):
            if not ctx.needs_input_grad[number]:
                gradients.append(None)
                continue
            sign = 1 - 2 * number
            slope, shift = _affine(of_raw, sign, factor, 1.0)
            slope_mapped, shift_mapped = _affine(of_mapped, sign, factor, mapped.scale if mapped else 0.0)
            out = torch.empty_like(view)
            for part, (x, to) in enumerate(zip(_parts(view), _parts(out), strict=True)):
                torch.baddbmm(shift, slope, x, out=to)
                if mapped:
                    cosine, sine = waves[4 * part + 2 * number :][:2]
                    outer = torch.baddbmm(shift_mapped, slope_mapped, cosine).mul_(sine)
                    to.baddbmm_(mapped.weight.T.expand(len(a), -1, -1), outer, alpha=-1)
            gradients.append(out)
        return (*gradients, None)


class _Gap:
    """Δμ and ΔΣ of two views, from parts of their pixels."""

    def __init__(self, batch: int, channels: int, like: Tensor, start: Tensor | None = None) -> None:
        """`start` is near the mean of a - b, unless that is small beside its spread."""
        self._start = start
        self._product = like.new_zeros(batch, channels, channels)
        self._sum_d, self._sum_s = like.new_zeros(2, batch, channels, 1)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Pixels (B, C, n) of both views."""
        d, s = x - y, x + y
        if self._start is not None:
            d -= self._start
        if _at_once(d):
            self._product += _blockwise_product(s, d)
        else:
            self._product.baddbmm_(s, d.mT)
        self._sum_d += d.sum(2, keepdim=True)
        self._sum_s += s.sum(2, keepdim=True)

    def result(self, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
        """Δμ (B, C, 1), ΔΣ (B, C, C) and the mean of both views' means, (B, C, 1)."""
        rest, middle = self._sum_d / pixels, self._sum_s / (2 * pixels)
        product = torch.baddbmm(self._product / (2 * pixels), middle, rest.mT, alpha=-1)
        mean_gap = rest if self._start is None else rest + self._start
        return mean_gap, product + product.mT, middle


def _affine(gaps: list[Tensor], sign: int, factor: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Slope (B, C, C) and shift (B, C, 1) of the gradient by a view: by a if `sign` is 1, by b if it is -1."""
    mean_gap, covariance_gap, middle = gaps
    slope = 4 * scale**4 * sign * factor * covariance_gap
    shift = 2 * scale**2 * sign * factor * mean_gap
    return slope, torch.baddbmm(shift, slope, middle + (sign / 2) * mean_gap, alpha=-1)


def mean_and_covariance(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """μ (B, C) and Σ (B, C, C), divided by N, over the N pixels of each sample of features (B, C, N)."""
    mean, matrix = _MeanAndCovariance.apply(pixels)
    return mean, matrix


class _MeanAndCovariance(torch.autograd.Function):
    """With its gradient written out, in few passes over memory: ((G + Gᵀ)(x - μ) + g) / N, for G by Σ and g by μ."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        mean = pixels.mean(2, keepdim=True)
        matrix = pixels.new_zeros(len(pixels), pixels.shape[1], pixels.shape[1])
        for part in _parts(pixels):
            centred = part - mean
            if _at_once(part):
                matrix += _blockwise_product(centred, centred)
            else:
                matrix.baddbmm_(centred, centred.mT)
        ctx.save_for_backward(pixels, mean)
        return mean.squeeze(2), matrix / pixels.shape[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_mean: Tensor, by_matrix: Tensor) -> Tensor:
        pixels, mean = ctx.saved_tensors
        slope = (by_matrix + by_matrix.mT) / pixels.shape[2]
        shift = torch.baddbmm(by_mean[:, :, None] / pixels.shape[2], slope, mean, alpha=-1)
        out = torch.empty_like(pixels)
        for part, to in zip(_parts(pixels), _parts(out), strict=True):
            torch.baddbmm(shift, slope, part, out=to)
        return out


def _blockwise_product(a: Tensor, b: Tensor) -> Tensor:
    """a bᵀ (B, C, C) of (B, C, N), a sum over blocks of the pixels. Nothing is copied if channels lie innermost."""
    batch, channels, pixels = a.shape
    blocks = next(count for count in range(min(_BLOCKS, pixels), 0, -1) if pixels % count == 0)
    rows = [one.mT.reshape(batch * blocks, pixels // blocks, channels) for one in (a, b)]
    return torch.bmm(rows[0].mT, rows[1]).view(batch, blocks, channels, channels).sum(1)


def _parts(pixels: Tensor) -> tuple[Tensor, ...]:
    """Pixels (B, C, N) in the parts of N that are worked on."""
    return pixels.split(pixels.shape[2] if _at_once(pixels) else _PIXELS, 2)


def _at_once(pixels: Tensor) -> bool:
    """Whether all pixels are worked on at once: on a GPU, where calls cost more than memory."""
    return pixels.device.type != "cpu"
