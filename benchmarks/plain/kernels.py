"""Blur kernels one after the other: a grid of its size for each, a covariance matrix inverted, zeros around."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from blindsr.plugins.degradations.operators.blur import GRID, Kernel


def synthesize(specs: Sequence[Kernel | None]) -> NDArray[np.float64]:
    """The kernels of `specs`, (N, 21, 21), in a loop; None gives the identity."""
    return np.stack([kernel(spec) for spec in specs])


def kernel(spec: Kernel | None) -> NDArray[np.float64]:
    """One kernel, (21, 21), that sums to 1."""
    if spec is None:
        identity = np.zeros((GRID, GRID))
        identity[GRID // 2, GRID // 2] = 1
        return identity
    values = _sinc(spec) if spec.kind == "sinc" else _gaussian(spec)
    values /= values.sum()
    return np.pad(values, (GRID - spec.size) // 2)


def _gaussian(spec: Kernel) -> NDArray[np.float64]:
    """exp(-q^beta / 2), or 1 / (1 + q^beta) for plateaus, with q the squared Mahalanobis distance."""
    axis = np.arange(spec.size) - spec.size // 2.0
    places = np.stack(np.meshgrid(axis, axis), axis=-1)
    if spec.kind in ("aniso", "generalized_aniso", "plateau_aniso"):
        cos, sin = np.cos(spec.rotation), np.sin(spec.rotation)
        turn = np.array([[cos, -sin], [sin, cos]])
        covariance = turn @ np.diag([spec.sigma_x**2, spec.sigma_y**2]) @ turn.T
    else:
        covariance = np.diag([spec.sigma_x**2, spec.sigma_x**2])
    q = ((places @ np.linalg.inv(covariance)) * places).sum(-1)
    if spec.kind.startswith("plateau"):
        return np.asarray(1 / (1 + q**spec.beta))
    return np.asarray(np.exp(-0.5 * (q**spec.beta if spec.kind.startswith("generalized") else q)))


def _sinc(spec: Kernel) -> NDArray[np.float64]:
    """cutoff J1(cutoff r) / (2 pi r) at distance r, with its limit in the middle."""

    def value(row: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.float64]:
        middle = (spec.size - 1) / 2
        radius = np.sqrt((row - middle) ** 2 + (column - middle) ** 2)
        return np.asarray(spec.cutoff * special.j1(spec.cutoff * radius) / (2 * np.pi * radius))

    with np.errstate(invalid="ignore"):
        values = np.asarray(np.fromfunction(value, (spec.size, spec.size)))
    values[spec.size // 2, spec.size // 2] = spec.cutoff**2 / (4 * np.pi)
    return values
