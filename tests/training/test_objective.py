"""The loss as one module, and what its curve says of the penalty."""

import pytest
import torch

from blindsr.training.distributed import World
from blindsr.training.objective import Terms, diagnose

ALONE = World(torch.device("cpu"))


def terms(features: torch.Tensor, l1: torch.Tensor, penalty: torch.Tensor) -> Terms:
    return Terms(l1 + penalty, l1, {"l1": l1}, penalty, features, features)


def test_diagnostics_see_through_shrunken_features() -> None:
    """Scaling the features by a scales a raw penalty by a² and leaves the distance of the views as it is."""
    features = torch.randn(4, 3, 5, 5, requires_grad=True)
    distances, shares = [], []
    for scale in (1.0, 0.01):
        scaled = features * scale
        diagnosis = diagnose(terms(scaled, scaled.mean(), (scaled[:2] - scaled[2:]).square().mean()), 1.0, ALONE)
        distances.append(diagnosis["view_distance"])
        shares.append(diagnosis["penalty_gradient_share"])
    assert distances[0] == pytest.approx(distances[1], rel=1e-4)
    assert shares[0] > 10 * shares[1]


def test_the_share_of_the_gradient_is_between_none_and_all() -> None:
    features = torch.ones(2, 1, 1, 1, requires_grad=True)
    scaled = features * 1
    # gradients of 3 and of 0.5 · 2 per entry: a quarter
    diagnosis = diagnose(terms(scaled, 3 * scaled.sum(), 2 * scaled.sum()), 0.5, ALONE)
    assert diagnosis["penalty_gradient_share"] == pytest.approx(0.25)


def test_the_distance_of_the_views_by_hand() -> None:
    """Views 0, 2 and 4, 2 of one channel: mean squared distance 8, variance 8/3."""
    features = torch.tensor([0.0, 2.0, 4.0, 2.0], requires_grad=True).view(4, 1, 1, 1)
    diagnosis = diagnose(terms(features, features.sum(), features.sum()), 1.0, ALONE)
    assert diagnosis["view_distance"] == pytest.approx(8 / (8 / 3))
