import numpy as np
import pytest
import torch
from torch import Tensor

from blindsr.plugins.regularizers.operators import moments
from blindsr.plugins.regularizers.operators.moments import RandomMap, statistics_distance

Views = tuple[Tensor, Tensor]


def views(dtype: torch.dtype = torch.float64, offset: float = 0.0) -> Views:
    generator = torch.Generator().manual_seed(4)
    a, b = (torch.randn(2, 3, 17, generator=generator, dtype=torch.float64) + offset for _ in range(2))
    return a.to(dtype).requires_grad_(), b.to(dtype).requires_grad_()


def random_map() -> RandomMap:
    generator = torch.Generator().manual_seed(5)
    weight, phase = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((5, 3), (5,)))
    return RandomMap(weight, phase, 0.7)


def plain(a: Tensor, b: Tensor, mapped: RandomMap | None) -> Tensor:
    """The formula as it is written, differentiated by autograd."""
    pairs = [(a, b)]
    if mapped:
        pairs.append(tuple(mapped.scale * (mapped.weight @ x + mapped.phase[:, None]).cos() for x in (a, b)))
    total = a.new_zeros(())
    for x, y in pairs:
        means = [view.mean(2) for view in (x, y)]
        centred = [view - mean[..., None] for view, mean in zip((x, y), means, strict=True)]
        covariances = [view @ view.mT / view.shape[2] for view in centred]
        total = total + (means[0] - means[1]).square().sum() + (covariances[0] - covariances[1]).square().sum()
    return total / len(a)


@pytest.fixture(params=[1, 4, 17, 100, "gpu"])
def part(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels worked on at once: one, some with a rest of one, all, more than there are; or as on a GPU."""
    if request.param == "gpu":
        monkeypatch.setattr(moments, "_at_once", lambda pixels: True)
    else:
        monkeypatch.setattr(moments, "_PIXELS", request.param)


@pytest.mark.parametrize("mapped", [None, random_map()], ids=["linear", "rff"])
def test_gradient_is_that_of_finite_differences(part: None, mapped: RandomMap | None) -> None:
    assert torch.autograd.gradcheck(lambda a, b: statistics_distance(a, b, mapped), views())


@pytest.mark.parametrize("mapped", [None, random_map()], ids=["linear", "rff"])
def test_value_and_gradient_are_those_of_the_plain_formula(part: None, mapped: RandomMap | None) -> None:
    results = []
    for function in (statistics_distance, plain):
        given = views()
        value = function(*given, mapped)
        results.append([value, *torch.autograd.grad(value, given)])
    for ours, wanted in zip(*results, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_float32_keeps_its_digits_under_a_large_common_mean(part: None, offset: float) -> None:
    given = views(torch.float32, offset)
    wanted = views(torch.float64, offset)
    wanted = tuple(view.detach().float().double().requires_grad_() for view in wanted)  # what float32 was given
    ours = torch.autograd.grad(statistics_distance(*given), given)
    theirs = torch.autograd.grad(plain(*wanted, None), wanted)
    for gradient, reference in zip(ours, theirs, strict=True):
        # 1e3 has a spacing of 6e-5, which is what each centred value may be off by
        assert (gradient - reference).norm() < max(1e-6, 2e-7 * offset) * reference.norm()


def test_a_view_without_gradient_costs_none() -> None:
    a, b = views()
    statistics_distance(a, b.detach(), random_map()).backward()
    assert b.grad is None
    torch.testing.assert_close(a.grad, torch.autograd.grad(plain(a, b, random_map()), a)[0])


def test_backward_twice_gives_the_same_bits() -> None:
    given = views()
    value = statistics_distance(*given, random_map())
    first, second = (torch.autograd.grad(value, given, retain_graph=True) for _ in range(2))
    assert all(map(torch.equal, first, second))


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_gradient_has_the_layout_of_the_features(order: torch.memory_format) -> None:
    a, b = (torch.randn(2, 3, 4, 5).to(memory_format=order).requires_grad_() for _ in range(2))
    statistics_distance(a.flatten(2), b.flatten(2)).backward()
    assert a.grad.is_contiguous(memory_format=order)


def test_mean_and_covariance_are_those_of_numpy_and_have_their_gradient(part: None) -> None:
    pixels, _ = views()
    mean, matrix = moments.mean_and_covariance(pixels)
    for sample, one, other in zip(pixels.detach().numpy(), mean, matrix, strict=True):
        np.testing.assert_allclose(one.detach(), sample.mean(1), atol=1e-14)
        np.testing.assert_allclose(other.detach(), np.cov(sample, bias=True), atol=1e-13)
    assert torch.autograd.gradcheck(moments.mean_and_covariance, (pixels,))
