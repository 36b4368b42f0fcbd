"""Log-Euclidean alignment of covariances (after MIRAGE, arXiv 2505.18679, which aligns them between layers)."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from blindsr.plugins.regularizers.base import Alignment, Regularizer, Step
from blindsr.plugins.regularizers.operators import affine, checks


def build(*, ridge: float = 0.01) -> Regularizer:
    """Two views; ‖log(Σ + εI) - log(Σ′ + εI)‖_F² / C of the covariances over pixels, mean over the batch.

    The logarithm measures ratios, so that small and large directions count alike, and a common scale of the features
    hardly matters. It is not free of every change of basis: see `affine_alignment`. Means are not aligned.

    Args:
        ridge: ε as a share of the batch's mean variance of a channel, > 0.

    Raises:
        ValueError: for another ridge.
    """
    return _LogEuclidean(checks.positive("ridge", ridge))


class _LogEuclidean(Alignment):
    replayable = False  # as affine_alignment

    def __init__(self, ridge: float) -> None:
        super().__init__()
        self.ridge = ridge

    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        matrices = affine.moments(a, b, step.share).covariance
        variance = matrices.diagonal(dim1=-2, dim2=-1).mean()
        identity = torch.eye(a.shape[1], dtype=matrices.dtype, device=matrices.device)
        first, second = _Logarithm.apply(matrices + (self.ridge * variance + affine.TINY) * identity).unbind(1)
        return ((first - second).square().sum((1, 2)).mean() / a.shape[1]).to(a.dtype)


class _Logarithm(torch.autograd.Function):
    """Of symmetric positive definite matrices (..., C, C).

    With M = U diag(λ) Uᵀ the derivative in the eigenbasis is divided by (λi - λj) / (log λi - log λj), which is λ
    for equal ones: autograd's own, through the eigenvectors, would be infinite there.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        values = values.clamp_min(torch.finfo(matrix.dtype).tiny)
        ctx.save_for_backward(values, vectors)
        return vectors @ (values.log()[..., None] * vectors.mT)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        values, vectors = ctx.saved_tensors
        one, other = values[..., :, None], values[..., None, :]
        # log(r) / (r - 1) for r = λi / λj near 1, where it is 0 / 0: its series to second order
        apart = (one - other) / other
        near = apart.abs() < 1e-4
        far = torch.log1p(apart) / torch.where(near, 1.0, apart)
        slope = torch.where(near, 1 - apart / 2 + apart.square() / 3, far)
        inner = vectors.mT @ ((gradient + gradient.mT) / 2) @ vectors
        return vectors @ (inner * slope / other) @ vectors.mT
