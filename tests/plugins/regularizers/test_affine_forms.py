"""Penalties that no change of basis pays: invariance, Gaussians by hand, and answers that must cost something."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from blindsr.config import registry
from blindsr.plugins.regularizers import affine_rff, content_alignment
from blindsr.plugins.regularizers.base import Regularizer, Share, Step
from blindsr.plugins.regularizers.operators import affine
from steps import penalty

NAMES = ["affine_alignment", "affine_rff", "content_alignment"]
CHANNELS = 6


def views(seed: int = 0, patches: int = 4, side: int = 12, noise: float = 0.5) -> tuple[Tensor, Tensor]:
    """Float64 features (N, 6, 12, 12) of patches that differ in mean and covariance, in two noisy views."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mixing = torch.eye(CHANNELS, dtype=torch.float64) + 0.3 * drawn(patches, CHANNELS, CHANNELS)
    content = mixing @ drawn(patches, CHANNELS, side * side) + drawn(patches, CHANNELS, 1)
    a, b = (content * (1 + 0.1 * drawn(1, CHANNELS, 1)) + noise * drawn(*content.shape) for _ in range(2))
    return a.unflatten(2, (side, side)), b.unflatten(2, (side, side))


def basis(condition: float, scale: float, seed: int) -> tuple[Tensor, Tensor]:
    """A (C, C) with singular values from scale to scale / condition, and b (C)."""
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.linalg.qr(torch.randn(2, CHANNELS, CHANNELS, generator=generator, dtype=torch.float64))[0]
    values = scale * torch.logspace(0, -math.log10(condition), CHANNELS, dtype=torch.float64)
    return left @ values.diag() @ right, scale * torch.randn(CHANNELS, generator=generator, dtype=torch.float64)


def changed_basis(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.einsum("dc,nchw->ndhw", a, x) + b[:, None, None]


def seeded(regularizer: Regularizer, a: Tensor, b: Tensor) -> Tensor:
    torch.manual_seed(11)
    return penalty(regularizer, a, b)


@pytest.fixture(params=NAMES)
def regularizer(request: pytest.FixtureRequest) -> Regularizer:
    built: Regularizer = registry.build("regularizer", request.param, {})
    return built


@pytest.mark.parametrize(("condition", "scale"), [(1, 1e-3), (1, 1e3), (10, 1), (1e3, 1e-3), (1e3, 1e3)])
def test_no_basis_changes_the_value(regularizer: Regularizer, condition: float, scale: float) -> None:
    for seed in range(3):
        a, b = views(seed)
        turned = (changed_basis(x, *basis(condition, scale, seed)) for x in (a, b))
        torch.testing.assert_close(seeded(regularizer, *turned), seeded(regularizer, a, b), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("condition", "scale"), [(1, 1e3), (1e3, 1e-3)])
def test_gradients_follow_the_basis(regularizer: Regularizer, condition: float, scale: float) -> None:
    """f(Ah + b) = f(h) means that the gradients are g = Aᵀ g'."""
    a, b = views(5)
    matrix, shift = basis(condition, scale, 5)
    plain = [x.clone().requires_grad_() for x in (a, b)]
    turned = [changed_basis(x, matrix, shift).requires_grad_() for x in (a, b)]
    wanted = torch.autograd.grad(seeded(regularizer, *plain), plain)
    made = torch.autograd.grad(seeded(regularizer, *turned), turned)
    for ours, theirs in zip(made, wanted, strict=True):
        back = torch.einsum("cd,nchw->ndhw", matrix, ours)
        torch.testing.assert_close(back, theirs, rtol=1e-4, atol=1e-6 * float(theirs.abs().max()))


def test_no_step_along_the_features_pays(regularizer: Regularizer) -> None:
    """The gradient has no part along h -> (1 + t)·h, nor along the amplification of any common component."""
    a, b = (x.requires_grad_() for x in views(6))
    gradients = torch.autograd.grad(seeded(regularizer, a, b), (a, b))
    for seed in range(3):
        matrix, shift = basis(10, 1, seed)
        along = [changed_basis(x.detach(), matrix, shift) for x in (a, b)]
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, along, strict=True))
        size = math.sqrt(sum(float((g**2).sum()) for g in gradients) * sum(float((d**2).sum()) for d in along))
        assert abs(slope) < 1e-6 * size


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    regularizer = registry.build("regularizer", name, {})
    a, b = (x.requires_grad_() for x in views(7, patches=2, side=3))
    assert torch.autograd.gradcheck(lambda a, b: seeded(regularizer, a, b).double(), (a, b), eps=1e-5, atol=2e-3)


def test_divergence_of_two_gaussians_by_hand() -> None:
    """N(0, 1) and N(3, 4) in one dimension: ½ (4 + ¼ - 2 + 9 (1 + ¼)) = 6.75; a diagonal of two: the mean."""
    mean, matrix = torch.zeros(1), torch.eye(1)
    other = torch.full((1,), 3.0), torch.full((1, 1), 4.0)
    assert affine.divergence(mean, matrix, *other) == pytest.approx(6.75)
    assert affine.divergence(*other, mean, matrix) == pytest.approx(6.75)
    both = torch.tensor([3.0, 0.0]), torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    assert affine.divergence(torch.zeros(2), torch.eye(2), *both) == pytest.approx(6.75 / 2)
    assert affine.divergence(*both, *both) == 0


def test_divergence_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(1)
    means = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    roots = torch.randn(2, 5, 5, generator=generator, dtype=torch.float64)
    matrices = roots @ roots.mT + torch.eye(5, dtype=torch.float64)
    p, q = (torch.distributions.MultivariateNormal(m, c) for m, c in zip(means, matrices, strict=True))
    kl = torch.distributions.kl_divergence
    wanted = (kl(p, q) + kl(q, p)) / 5
    made = affine.divergence(means[0], matrices[0], means[1], matrices[1])
    assert float(made) == pytest.approx(float(wanted), rel=1e-10)


def test_whitened_moments_have_unit_covariance_in_all() -> None:
    """Over all pixels of all samples and views: mean 0, covariance 1, and the ridge on top of each sample's."""
    white = affine.whitened(affine.moments(*views(2), Share()), 0.25)
    centre, whole = affine.pooled(white)
    torch.testing.assert_close(centre, torch.zeros(CHANNELS, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(whole, 1.25 * torch.eye(CHANNELS, dtype=torch.float64), rtol=0, atol=1e-6)


def test_statistics_that_agree_cost_nothing_whatever_the_pixels_do() -> None:
    """The same pixels in another order: other features, equal statistics."""
    a, _ = views(3)
    order = torch.randperm(144, generator=torch.Generator().manual_seed(0))
    shuffled = a.flatten(2)[:, :, order].unflatten(2, (12, 12))
    for name in ("affine_alignment", "content_alignment"):
        assert seeded(registry.build("regularizer", name, {}), a, shuffled) < 1e-12


@pytest.mark.parametrize("kind", ["constant", "one content", "independent of the image"])
def test_features_without_content_are_not_free(kind: str) -> None:
    """Relative to content they cost 1; the form that only compares views asks nothing for them."""
    a, b = views(4)
    if kind == "constant":
        a, b = torch.full_like(a, 3.0), torch.full_like(b, 3.0)
    elif kind == "one content":
        a, b = a[:1].expand_as(a), b[:1].expand_as(b)
    else:
        generator = torch.Generator().manual_seed(9)
        a, b = (torch.randn(4, CHANNELS, 120, 120, generator=generator, dtype=torch.float64) for _ in range(2))
    assert seeded(registry.build("regularizer", "content_alignment", {}), a, b) > 0.5


def test_more_alike_views_cost_less(regularizer: Regularizer) -> None:
    a, b = views(8)
    costs = [float(seeded(regularizer, a, a + share * (3 * b - a))) for share in (0.0, 0.1, 0.3, 1.0)]
    assert costs[0] == 0
    assert costs == sorted(costs)


def test_contents_that_are_further_apart_cost_less() -> None:
    near, far = views(10), views(10)
    far = tuple(x + 3 * torch.arange(4).view(-1, 1, 1, 1) * torch.ones(CHANNELS, 1, 1) for x in far)
    regularizer = content_alignment.build()
    assert seeded(regularizer, *far) < seeded(regularizer, *near)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_phi_is_nonlinear_for_features_of_any_scale(scale: float) -> None:
    """A linear fit of φ by the features explains less than 90 % of its variance; of `rff`'s φ at 1e-3, all of it."""
    a, b = (scale * x for x in views(12))
    regularizer = affine_rff.build(dim=64)
    torch.manual_seed(0)
    raw = affine.moments(a, b, Share())
    phi, _ = regularizer.mapped(a, b, raw, Step(a, a, 2))  # type: ignore[attr-defined]
    pixels = a.flatten(2).transpose(0, 1).flatten(1).T.numpy() / scale
    values = phi.transpose(0, 1).flatten(1).T.double().numpy()
    design = np.c_[pixels, np.ones(len(pixels))]
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    assert (left.var(0).sum() / values.var(0).sum()) > 0.1
    assert values.var(0).mean() > 0.1 / 64


def test_directions_of_phi_are_as_gaussian_ones() -> None:
    """In whitened features, the kernel is that of the paper: exp(-d²/2σ²) for pixels at distance d, σ² = 2C."""
    a, b = views(13, side=16, noise=0.0)
    raw = affine.moments(a, b, Share())
    centre, whole = affine.pooled(raw)
    torch.manual_seed(0)
    phi, _ = affine_rff.build(dim=4096).mapped(a, a, raw, Step(a, a, 2))  # type: ignore[attr-defined]
    pixels = torch.linalg.solve_triangular(
        torch.linalg.cholesky(whole), a.flatten(2)[0, :, :40] - centre[:, None], upper=False
    )
    distance = torch.cdist(pixels.T, pixels.T).square()
    kernel = torch.exp(-distance / (2 * 2 * CHANNELS))
    made = phi[0, :, :40].T @ phi[0, :, :40]
    assert float((made - kernel).abs().mean()) < 0.06


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("affine_alignment", {"ridge": 0}, "ridge must be a finite number > 0, not 0"),
        ("affine_alignment", {"ridge": True}, "ridge must be"),
        ("content_alignment", {"floor": -1}, "floor must be a finite number > 0"),
        ("content_alignment", {"ridge": math.inf}, "ridge must be"),
        ("affine_rff", {"dim": 0}, "dim must be a whole number >= 1"),
        ("affine_rff", {"sigma": 0.0}, "sigma must be a finite number > 0"),
    ],
)
def test_settings_that_make_no_sense(name: str, settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        registry.load("regularizer", name)(**settings)
