"""Rivals that change the input or the features: what they change by hand, how often, and that processes agree."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from torch import Tensor, nn

from blindsr.config import registry
from blindsr.model import architecture, taps
from blindsr.plugins.regularizers import adaptive_dropout, cutblur, frequency_mask, input_mask, log_euclidean
from blindsr.plugins.regularizers.base import Regularizer, Share, Step
from steps import penalty

INPUT = ["input_mask", "frequency_mask", "cutblur"]


def images(count: int = 8, height: int = 12, width: int = 10, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def changed_input(
    regularizer: Regularizer, lr: Tensor, hr: Tensor | None = None, share: Share | None = None
) -> Tensor:
    hr = torch.nn.functional.interpolate(lr, scale_factor=4) if hr is None else hr
    return regularizer.change_input(lr, Step(lr, hr, share=share or Share()))


@pytest.mark.parametrize("name", [*INPUT, "adaptive_dropout"])
def test_nothing_changes_out_of_training(name: str) -> None:
    regularizer, lr = registry.build("regularizer", name, {}).eval(), images()
    assert torch.equal(changed_input(regularizer, lr), lr)


@pytest.mark.parametrize("name", INPUT)
def test_two_processes_change_what_one_does(name: str) -> None:
    regularizer, lr = registry.build("regularizer", name, {}).train(), images()
    torch.manual_seed(5)
    whole = changed_input(regularizer, lr)
    parts = []
    for rank in range(2):
        torch.manual_seed(5)
        parts.append(changed_input(regularizer, lr.chunk(2)[rank], share=Share(rank, 2)))
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)
    assert not torch.equal(whole, lr)


def test_a_mask_fills_its_share_with_the_mean_colour() -> None:
    lr = images(64, 20, 20)
    torch.manual_seed(1)
    made = changed_input(input_mask.build(least=0.2, most=0.4).train(), lr)
    masked = (made != lr).any(1)
    assert torch.equal(masked, (made != lr).all(1))
    for image, original, mask in zip(made, lr, masked, strict=True):
        filled = image[:, mask]
        torch.testing.assert_close(filled, original.mean((1, 2), keepdim=True)[:, 0].expand_as(filled))
    shares = masked.float().mean((1, 2))
    assert 0.1 < shares.min() < 0.25
    assert 0.35 < shares.max() < 0.5
    assert shares.mean() == pytest.approx(0.3, abs=0.03)


def test_the_cosine_basis_is_that_of_scipy() -> None:
    image = np.random.default_rng(0).normal(size=(9, 7))
    rows, columns = (frequency_mask.dct_basis(length, torch.device("cpu")).double().numpy() for length in image.shape)
    np.testing.assert_allclose(rows @ image @ columns.T, dctn(image, norm="ortho"), atol=1e-6)
    np.testing.assert_allclose(rows.T @ rows, np.eye(9), atol=1e-6)


def test_a_band_of_frequencies_is_gone_and_the_rest_is_left() -> None:
    lr = images(32)
    torch.manual_seed(2)
    made = changed_input(frequency_mask.build(probability=1.0).train(), lr)
    height, width = lr.shape[2:]
    radius = np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width) / math.sqrt(2)
    for image, original in zip(made.numpy(), lr.numpy(), strict=True):
        spectrum, before = (dctn(one, axes=(1, 2), norm="ortho") for one in (image, original))
        gone = np.abs(spectrum).max(0) < 1e-5
        np.testing.assert_allclose(spectrum[:, ~gone], before[:, ~gone], atol=1e-5)
        assert not gone[0, 0]
        if gone.any():
            inside = (radius >= radius[gone].min()) & (radius <= radius[gone].max())
            inside[0, 0] = False
            assert (gone == inside).all()
    untouched = changed_input(frequency_mask.build(probability=0.0).train(), lr)
    torch.testing.assert_close(untouched, lr, rtol=0, atol=1e-5)


def test_masks_come_as_often_as_they_should() -> None:
    lr = images(400, 8, 8)
    torch.manual_seed(3)
    made = changed_input(frequency_mask.build(probability=0.3).train(), lr)
    share = float(((made - lr).abs().amax((1, 2, 3)) > 1e-4).float().mean())
    assert 0.2 < share < 0.33  # of 0.3; a narrow band may hold no frequency


def test_a_rectangle_or_all_but_it_is_clean() -> None:
    lr, hr = torch.zeros(200, 3, 10, 20), torch.ones(200, 3, 40, 80)
    torch.manual_seed(4)
    made = changed_input(cutblur.build(ratio=0.5).train(), lr, hr)
    assert set(made.unique().tolist()) == {0.0, 1.0}
    clean = made.mean(1)
    sides = set()
    rectangles = 0
    for image in clean:
        # half of the rows and columns hold the rectangle; 5·10 of 200 pixels
        rectangle = image if image.sum() == 50 else 1 - image
        rectangles += int(image.sum() == 50)
        assert rectangle.sum() == 50
        rows, columns = rectangle.amax(1).nonzero()[:, 0], rectangle.amax(0).nonzero()[:, 0]
        assert len(rows) == 5
        assert len(columns) == 10
        sides.add((int(rows[0]), int(columns[0])))
    assert 75 < rectangles < 125
    assert {row for row, _ in sides} == set(range(6))
    assert {column for _, column in sides} == set(range(11))


def test_every_view_is_exchanged_with_its_own_clean_image() -> None:
    hr = images(2, 16, 16)
    step = Step(torch.zeros(4, 3, 4, 4), hr, 2)
    torch.manual_seed(0)
    made = cutblur.build(ratio=1.0).train().change_input(step.lr, step)
    clean = nn.functional.avg_pool2d(hr, 4).repeat(2, 1, 1, 1)
    whole = [torch.equal(one, wanted) for one, wanted in zip(made, clean, strict=True)]
    nothing = [not one.any() for one in made]
    assert [a or b for a, b in zip(whole, nothing, strict=True)] == [True] * 4


@pytest.mark.parametrize("backbone", ["srresnet", "rrdb", "msrn", "swinir"])
def test_dropout_adapts_layer_by_layer(backbone: str) -> None:
    """At a progress of k · 4 %, the first k layers are as they were, in every network."""
    small = {"swinir": {"depths": [2], "num_heads": [2], "dim": 8, "window_size": 4}, "rrdb": {"growth": 4}}
    settings = {"num_blocks": 2, "num_features": 8} if backbone != "swinir" else {}
    network = architecture.build_backbone(backbone, settings | small.get(backbone, {}), 4)
    regularizer = adaptive_dropout.build().train()
    names = regularizer.layers(network)
    assert len(names) == len(network.blocks) + 1
    assert names[-1] == "last"
    for name in names[:-1]:
        assert taps.resolve(network, name.removesuffix(":output")) is not None
    x = torch.ones(4, 8, 3, 3)
    for off in (0, 1, len(names)):
        step = Step(x, x, progress=off * 0.04)
        torch.manual_seed(1)
        same = [torch.equal(regularizer.change_features(name, x, step), x) for name in names]
        assert same == [number < off for number in range(len(names))]


def test_dropout_is_mixed_with_what_it_drops() -> None:
    """keep + (1 - keep)·mask / (1 - rate): 0.3 where a channel is dropped, 0.3 + 0.7·2 where it is not."""
    x = torch.ones(200, 50, 2, 2)
    torch.manual_seed(0)
    made = adaptive_dropout.build(rate=0.5, keep=0.3).train().change_features("last", x, Step(x, x))
    values, counts = made.unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.3, 1.7]))
    assert counts[0] / counts.sum() == pytest.approx(0.5, abs=0.02)
    assert (made.amax((2, 3)) == made.amin((2, 3))).all()


def test_logarithms_of_covariances_by_hand() -> None:
    """Variances 1 and 4 of one channel, without a ridge to speak of: log(4)²."""
    a = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2).double()
    made = penalty(log_euclidean.build(ridge=1e-9), a, 2 * a)
    assert float(made) == pytest.approx(math.log(4) ** 2, rel=1e-6)


def test_the_logarithm_is_that_of_scipy_and_has_a_gradient_at_equal_eigenvalues() -> None:
    from scipy.linalg import logm

    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    matrices = root @ root.mT + 0.1 * torch.eye(4, dtype=torch.float64)
    made = log_euclidean._Logarithm.apply(matrices)
    np.testing.assert_allclose(made.numpy(), np.stack([logm(one) for one in matrices.numpy()]), atol=1e-9)

    def log(matrix: Tensor) -> Tensor:
        result: Tensor = log_euclidean._Logarithm.apply((matrix + matrix.mT) / 2)
        return result

    equal = torch.diag(torch.tensor([2.0, 2.0, 2.0 + 1e-6, 5.0], dtype=torch.float64))
    for matrix in (matrices[0], equal):
        assert torch.autograd.gradcheck(log, (matrix.requires_grad_(),), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("adaptive_dropout", {"rate": 1.0}, r"rate must be a number in \[0, 1\)"),
        ("adaptive_dropout", {"keep": 2}, r"keep must be a number in \[0, 1\]"),
        ("adaptive_dropout", {"every": 0}, r"every must be a number in \(0, 1\]"),
        ("input_mask", {"most": 1.0}, r"most must be a number in \[0, 1\)"),
        ("input_mask", {"least": 0.9}, "least 0.9 must not be above most 0.85"),
        ("frequency_mask", {"probability": 2}, "probability must be"),
        ("cutblur", {"ratio": 0}, r"ratio must be a number in \(0, 1\]"),
        ("cutblur", {"probability": True}, "probability must be"),
        ("log_euclidean", {"ridge": 0.0}, "ridge must be"),
    ],
)
def test_settings_that_make_no_sense(name: str, settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        registry.load("regularizer", name)(**settings)
