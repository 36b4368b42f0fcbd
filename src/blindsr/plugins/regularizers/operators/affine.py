"""Statistics of features that no invertible linear layer changes: what `affine_alignment` and its kin share.

The features h and A·h + b are the same to a network whose last convolution undoes A and b, for any invertible A over
the channels. So a penalty that A changes can be paid by choosing A. Here everything is measured in units of the
batch's own covariance S, which A changes alike: S → A S Aᵀ.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from blindsr.plugins.regularizers.base import Share
from blindsr.plugins.regularizers.operators.moments import mean_and_covariance

_SINGULAR = {torch.float64: 1e-12, torch.float32: 1e-6}
"""Share of the mean variance of a channel that is added to every channel's, so that S can be inverted where some have
none: a little more than the rounding of each type, and far below what a channel has that is not dead."""

TINY = 1e-30
"""A variance for features that have none at all; below the smallest that float32 features can have."""


class Moments(NamedTuple):
    """Of N samples in two views: means (N, 2, C) and covariances (N, 2, C, C) over the pixels of each."""

    mean: Tensor
    covariance: Tensor


def moments(a: Tensor, b: Tensor, share: Share) -> Moments:
    """Moments of both views of the whole batch, of which this process may have a part.

    Args:
        a: Features (B, C, H, W) or (B, C, pixels) of one view.
        b: Those of the same patches in the other.
        share: Which part this is.

    Returns:
        In float64 (float32 where the device has no other), for the matrices that are inverted.
    """
    rows = []
    for x in (a.flatten(2), b.flatten(2)):
        mean, matrix = mean_and_covariance(x)
        rows.append(torch.cat([mean, matrix.flatten(1)], dim=1))
    widest = torch.float32 if a.device.type == "mps" else torch.float64  # which Apple's GPUs lack
    whole, channels = share.gather(torch.stack(rows, dim=1).to(widest)), a.shape[1]
    return Moments(whole[..., :channels], whole[..., channels:].unflatten(2, (channels, channels)))


def pooled(of: Moments) -> tuple[Tensor, Tensor]:
    """Mean (C) and covariance S (C, C) over all pixels of all samples and views."""
    centre = of.mean.mean((0, 1))
    apart = (of.mean - centre).flatten(0, 1)
    return centre, of.covariance.mean((0, 1)) + apart.mT @ apart / len(apart)


def root(matrix: Tensor) -> Tensor:
    """L (..., C, C), lower triangular, with L Lᵀ = matrix up to what makes it invertible. Waits for no device."""
    size = matrix.shape[-1]
    variance = matrix.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    least = _SINGULAR[matrix.dtype] * variance + TINY
    identity = torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.cholesky_ex(matrix + least * identity)[0]


def whitened(of: Moments, ridge: float) -> Moments:
    """Move moments to where S is the identity, and add some of it to every covariance.

    A sample's own covariance may be singular; S bounds what that costs, and A changes both alike.

    Args:
        of: Moments of the whole batch.
        ridge: Share of S that is added, > 0.

    Returns:
        The moments in these units.
    """
    centre, whole = pooled(of)
    factor = root(whole)
    mean = torch.linalg.solve_triangular(factor, (of.mean - centre)[..., None], upper=False)[..., 0]
    half = torch.linalg.solve_triangular(factor, of.covariance, upper=False)
    matrix = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    return Moments(mean, matrix + ridge * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device))


def divergence(mean: Tensor, matrix: Tensor, other_mean: Tensor, other_matrix: Tensor) -> Tensor:
    """Symmetric Kullback–Leibler divergence of two Gaussians, per channel: 0 for equal ones, exactly.

    ½ [tr(Σ⁻¹Σ′) + tr(Σ′⁻¹Σ) - 2C + Δμᵀ (Σ⁻¹ + Σ′⁻¹) Δμ] / C. With Σ = L Lᵀ and Σ′ = L′ L′ᵀ the first three terms are
    ‖L⁻¹ (Σ′ - Σ) L′⁻ᵀ‖², in which nothing cancels.

    Args:
        mean: μ (..., C).
        matrix: Σ (..., C, C), positive definite.
        other_mean: μ′; shapes are broadcast.
        other_matrix: Σ′.

    Returns:
        (...), >= 0.
    """
    first, second = (torch.linalg.cholesky_ex(one)[0] for one in (matrix, other_matrix))
    half = torch.linalg.solve_triangular(first, other_matrix - matrix, upper=False)
    gap = torch.linalg.solve_triangular(second, half.mT, upper=False)
    apart = (other_mean - mean)[..., None]
    parts = [gap, *(torch.linalg.solve_triangular(factor, apart, upper=False) for factor in (first, second))]
    return torch.stack([part.square().sum((-2, -1)) for part in parts]).sum(0) / (2 * mean.shape[-1])


def of_views(white: Moments) -> Tensor:
    """Divergence (N) of the two views of each sample."""
    (mean, other_mean), (matrix, other_matrix) = white.mean.unbind(1), white.covariance.unbind(1)
    return divergence(mean, matrix, other_mean, other_matrix)


def of_contents(white: Moments) -> Tensor:
    """Divergence (N·(N-1)) of the first view of each sample and the second view of every other; empty for one."""
    count = len(white.mean)
    pair = torch.arange(count * (count - 1), device=white.mean.device)
    i, j = pair // max(1, count - 1), pair % max(1, count - 1)
    j = j + (j >= i)  # all but i itself
    (mean, other_mean), (matrix, other_matrix) = white.mean.unbind(1), white.covariance.unbind(1)
    return divergence(mean[i], matrix[i], other_mean[j], other_matrix[j])
