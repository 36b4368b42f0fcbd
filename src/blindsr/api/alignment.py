"""Alignment penalties for anyone's training loop: distances between the features of two degraded views of one patch.

Features are what a layer gets, (N, C, H, W) or (N, C, L), float. The paper takes the input of the last convolution;
`hooks.FeatureHook` reads it. Source of `linear` and `rff`: "Navigating Beyond Dropout: An Intriguing Solution Towards
Generalizable Image Super-Resolution", CVPR 2024; docs/regularizers.md defines all of them.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from blindsr.config import registry
from blindsr.config.run import did_you_mean
from blindsr.model.network import build_regularizer
from blindsr.plugins.regularizers.base import LAST, Alignment, Step
from blindsr.runtime.errors import UserError

_KNOWN = ("linear", "rff", "affine_alignment", "affine_rff", "content_alignment", "log_euclidean", "brute_force",
          "rff_released")  # fmt: skip


class AlignmentPenalty(nn.Module):
    """A penalty by its name, as a module: `penalty(a, b)`, or `penalty(features)` of a batch that holds both views.

    Computed in float32 (float64 for float64 features) under autocast, too. Random features are drawn from torch's
    default generator of the CPU, anew in each call: `torch.manual_seed` repeats them.

    Args:
        name: linear, rff, affine_alignment, affine_rff, content_alignment, log_euclidean, brute_force (pixel by
            pixel), rff_released (the authors' released code), or a regularizer of your own that is an `Alignment`.
        **settings: Of `build` of that regularizer, such as dim and sigma of rff.

    Raises:
        UserError: for an unknown name or setting, a value that is refused, or a regularizer that aligns nothing.

    Example:
        >>> import blindsr, torch
        >>> penalty = blindsr.AlignmentPenalty("rff", dim=16)
        >>> a, b = torch.rand(2, 4, 8, 24, 24, requires_grad=True)  # two views, 4 patches, 8 channels
        >>> loss = penalty(a, b)
        >>> loss.shape, bool(loss > 0), float(penalty(a, a).detach())
        (torch.Size([]), True, 0.0)
        >>> penalty
        AlignmentPenalty('rff', dim=16)
    """

    def __init__(self, name: str = "rff", **settings: Any) -> None:
        super().__init__()
        if name not in registry.names("regularizer"):
            near = did_you_mean(name.removesuffix("_alignment"), _KNOWN) or f": choose one of {', '.join(_KNOWN)}"
            raise UserError(f"unknown alignment {name!r}{near}")
        regularizer = build_regularizer(name, settings)
        if not isinstance(regularizer, Alignment):
            raise UserError(f"{name} aligns no features: choose one of {', '.join(_KNOWN)}")
        self.regularizer = regularizer
        self._named = ", ".join([repr(name), *(f"{key}={value!r}" for key, value in settings.items())])

    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        """Distance of the features of two views.

        Args:
            a: Of the first views, (N, C, H, W) or (N, C, L); without `b` (2N, …), all first views, then all second
                ones in the same order.
            b: Of the second views, in the shape of `a`.

        Returns:
            Scalar >= 0, with gradients to both; 0 for equal views, but for `content_alignment`.

        Raises:
            ValueError: for shapes or types that do not fit.
        """
        for given in (a,) if b is None else (a, b):
            if not isinstance(given, Tensor):
                raise ValueError(f"features must be a tensor, not {type(given).__name__}")
        features = a if b is None else _joined(a, b)
        if features.ndim not in (3, 4) or not features.is_floating_point() or not features.numel():
            kind = f"{features.dtype} of {tuple(features.shape)}"
            raise ValueError(f"features must be floating-point of shape (N, C, H, W) or (N, C, L), not {kind}")
        if len(features) % 2:
            raise ValueError(f"{len(features)} samples are not two views of each: give first views, then second ones")
        none = features.new_empty(0)  # of the step's images, which an alignment does not look at
        whole = features if features.ndim == 4 else features[..., None]
        return self.regularizer.penalty(Step(lr=none, hr=none, views=2, features={LAST: whole}))

    def extra_repr(self) -> str:
        """Its name and settings."""
        return self._named

    def __repr__(self) -> str:
        return f"AlignmentPenalty({self._named})"


def _joined(a: Tensor, b: Tensor) -> Tensor:
    if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
        sides = " and ".join(f"{tuple(x.shape)} ({x.dtype} on {x.device})" for x in (a, b))
        raise ValueError(f"two views must have one shape, type and device, not {sides}")
    return torch.cat([a, b])


def linear_alignment(a: Tensor, b: Tensor, *, stride: int = 1) -> Tensor:
    """‖μ(a)-μ(b)‖² + ‖Σ(a)-Σ(b)‖_F² of each sample, mean over the batch: the paper's linear alignment.

    Args:
        a: Features of the first views, (N, C, H, W), float.
        b: Of the second views of the same patches, in the same order.
        stride: Estimate both from every stride-th pixel in each direction.

    Returns:
        Scalar >= 0 in squared units of the features (fourth powers for Σ), with gradients to both.

    Raises:
        ValueError: for shapes or types that do not fit.
        UserError: for another stride.

    Example:
        >>> import blindsr, torch
        >>> a = torch.zeros(1, 2, 4, 4)
        >>> float(blindsr.linear_alignment(a, a + 3))  # means differ by 3 in two channels, covariances do not
        18.0
    """
    return _penalty("linear", a, b, {"stride": stride})


def rff_alignment(a: Tensor, b: Tensor, *, dim: int = 32, sigma: float = 1.0, stride: int = 1) -> Tensor:
    """Linear alignment plus the same of random Fourier features: the paper's method.

    Args:
        a: Features of the first views, (N, C, H, W), float.
        b: Of the second views of the same patches.
        dim: Random features, >= 1.
        sigma: Bandwidth of the kernel, in units of the features, > 0.
        stride: As for `linear_alignment`.

    Returns:
        Scalar >= 0, with gradients to both.

    Raises:
        ValueError: for shapes or types that do not fit.
        UserError: for settings out of range.

    Example:
        >>> import blindsr, torch
        >>> a, b = torch.rand(2, 4, 8, 24, 24)
        >>> bool(blindsr.rff_alignment(a, b) > blindsr.linear_alignment(a, b))
        True
    """
    return _penalty("rff", a, b, {"dim": dim, "sigma": sigma, "stride": stride})


def affine_alignment(a: Tensor, b: Tensor, *, ridge: float = 0.01) -> Tensor:
    """Kullback–Leibler divergence of N(μ, Σ) of two views, the same for every invertible map of the channels.

    So a network cannot pay it by scaling its features down, as it can `linear_alignment`.

    Args:
        a: Features of the first views, (N, C, H, W), float.
        b: Of the second views of the same patches.
        ridge: Share of the batch's covariance that is added to every Σ, > 0.

    Returns:
        Scalar >= 0 in nats per channel, with gradients to both.

    Raises:
        ValueError: for shapes or types that do not fit.
        UserError: for another ridge.

    Example:
        >>> import blindsr, torch
        >>> a, b = torch.rand(2, 4, 8, 24, 24)
        >>> one, other = blindsr.affine_alignment(a, b), blindsr.affine_alignment(100 * a, 100 * b)
        >>> bool(torch.isclose(one, other))
        True
    """
    return _penalty("affine_alignment", a, b, {"ridge": ridge})


def affine_rff_alignment(a: Tensor, b: Tensor, *, dim: int = 32, sigma: float = 1.0, ridge: float = 0.01) -> Tensor:
    """`affine_alignment` plus alignment of random Fourier features whose bandwidth follows the features.

    Args:
        a: Features of the first views, (N, C, H, W), float.
        b: Of the second views of the same patches.
        dim: Random features, >= 1.
        sigma: Bandwidth in units of the mean distance of two pixels, > 0.
        ridge: As for `affine_alignment`.

    Returns:
        Scalar >= 0, with gradients to both.

    Raises:
        ValueError: for shapes or types that do not fit.
        UserError: for settings out of range.

    Example:
        >>> import blindsr, torch
        >>> a, b = torch.rand(2, 4, 8, 24, 24)
        >>> bool(blindsr.affine_rff_alignment(a, b) > blindsr.affine_alignment(a, b))
        True
    """
    return _penalty("affine_rff", a, b, {"dim": dim, "sigma": sigma, "ridge": ridge})


def content_alignment(a: Tensor, b: Tensor, *, ridge: float = 0.01, floor: float = 0.05) -> Tensor:
    """Divergence of two views of a patch, over that of different patches: features that forget the image cost 1.

    Args:
        a: Features of the first views, (N, C, H, W), float; of N >= 2 different patches.
        b: Of the second views of the same patches.
        ridge: As for `affine_alignment`.
        floor: Divergence per channel that different patches shall have at least, > 0.

    Returns:
        Scalar >= 0, with gradients to both.

    Raises:
        ValueError: for shapes or types that do not fit.
        UserError: for settings out of range.

    Example:
        >>> import blindsr, torch
        >>> forgetful = torch.rand(1, 8, 24, 24).expand(4, -1, -1, -1)  # the same features for four patches
        >>> round(float(blindsr.content_alignment(forgetful, forgetful)), 3)
        1.0
    """
    return _penalty("content_alignment", a, b, {"ridge": ridge, "floor": floor})


def log_euclidean_alignment(a: Tensor, b: Tensor, *, ridge: float = 0.01) -> Tensor:
    """‖log(Σ(a) + εI) - log(Σ(b) + εI)‖_F² / C, mean over the batch (after MIRAGE, arXiv 2505.18679).

    Args:
        a: Features of the first views, (N, C, H, W), float.
        b: Of the second views of the same patches.
        ridge: ε as a share of the batch's mean variance of a channel, > 0.

    Returns:
        Scalar >= 0, with gradients to both.

    Raises:
        ValueError: for shapes or types that do not fit.
        UserError: for another ridge.

    Example:
        >>> import blindsr, torch
        >>> a = torch.rand(4, 8, 24, 24)
        >>> round(float(blindsr.log_euclidean_alignment(a, a + 1)), 6)  # means are not compared
        0.0
    """
    return _penalty("log_euclidean", a, b, {"ridge": ridge})


def pixel_alignment(a: Tensor, b: Tensor) -> Tensor:
    """Mean of (a - b)²: alignment pixel by pixel, the paper's "brute force".

    Args:
        a: Features of the first views, (N, C, H, W), float.
        b: Of the second views of the same patches.

    Returns:
        Scalar >= 0 in squared units of the features, with gradients to both.

    Raises:
        ValueError: for shapes or types that do not fit.

    Example:
        >>> import blindsr, torch
        >>> float(blindsr.pixel_alignment(torch.zeros(1, 2, 4, 4), torch.full((1, 2, 4, 4), 3.0)))
        9.0
    """
    return _penalty("brute_force", a, b, {})


def _penalty(name: str, a: Tensor, b: Tensor, settings: Mapping[str, Any]) -> Tensor:
    penalty: Tensor = AlignmentPenalty(name, **settings)(a, b)
    return penalty
