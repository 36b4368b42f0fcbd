"""Alignment penalties and the hook, in plain PyTorch."""

import pytest
import torch

import blindsr
from blindsr.plugins.regularizers.base import Step
from blindsr.runtime.errors import UserError

A, B = torch.rand(2, 4, 6, 12, 10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("linear", blindsr.linear_alignment),
        ("rff", blindsr.rff_alignment),
        ("affine_alignment", blindsr.affine_alignment),
        ("affine_rff", blindsr.affine_rff_alignment),
        ("content_alignment", blindsr.content_alignment),
        ("log_euclidean", blindsr.log_euclidean_alignment),
        ("brute_force", blindsr.pixel_alignment),
    ],
)
def test_function_module_and_training_agree(name: str, function) -> None:
    penalty = blindsr.AlignmentPenalty(name)
    step = Step(lr=A.new_empty(0), hr=A.new_empty(0), views=2, features={"last": torch.cat([A, B])})
    values = []
    for compute in (
        lambda: function(A, B),
        lambda: penalty(A, B),
        lambda: penalty(torch.cat([A, B])),
        lambda: penalty.regularizer.penalty(step),
    ):
        torch.manual_seed(1)  # of random features
        values.append(float(compute()))
    assert values[0] > 0
    assert len(set(values)) == 1


def test_gradients_reach_both_views_under_autocast() -> None:
    a, b = (x.clone().requires_grad_() for x in (A, B))
    with torch.autocast("cpu", torch.bfloat16):
        value = blindsr.linear_alignment(a, b)
    value.backward()
    assert value.dtype == torch.float32
    assert a.grad.abs().sum() > 0
    torch.testing.assert_close(a.grad.mean((0, 2, 3)), -b.grad.mean((0, 2, 3)))  # of a shift of one against the other


def test_tokens_are_features_too() -> None:
    tokens = blindsr.linear_alignment(A.flatten(2), B.flatten(2))
    assert float(tokens) == pytest.approx(float(blindsr.linear_alignment(A, B)), rel=1e-6)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="one shape, type and device"):
        blindsr.linear_alignment(A, B[:2])
    with pytest.raises(ValueError, match="3 samples are not two views"):
        blindsr.AlignmentPenalty("linear")(A[:3])
    with pytest.raises(ValueError, match="floating-point of shape"):
        blindsr.AlignmentPenalty("linear")(A.long())
    with pytest.raises(UserError, match="dropout aligns no features: choose one of linear, rff"):
        blindsr.AlignmentPenalty("dropout")
    with pytest.raises(UserError, match="unknown alignment 'rfff': did you mean rff"):
        blindsr.AlignmentPenalty("rfff")
    with pytest.raises(UserError, match="unknown alignment 'linear_alignment': did you mean linear"):
        blindsr.AlignmentPenalty("linear_alignment")
    with pytest.raises(UserError, match="unknown alignment 'xyz': choose one of linear, rff"):
        blindsr.AlignmentPenalty("xyz")
    with pytest.raises(UserError, match="'rff' has no setting 'nosuch': it takes dim, sigma, stride"):
        blindsr.AlignmentPenalty("rff", nosuch=1)
    with pytest.raises(ValueError, match="must be a tensor, not NoneType"):
        blindsr.AlignmentPenalty("rff")(None)
    with pytest.raises(UserError, match="dim must be a whole number"):
        blindsr.rff_alignment(A, B, dim=0)
