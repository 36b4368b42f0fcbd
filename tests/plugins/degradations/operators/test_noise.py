import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from blindsr.plugins.degradations.operators import noise


def generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=list(key)))


def generators(count: int) -> list[np.random.Generator]:
    return [generator(7, i) for i in range(count)]


def test_gaussian_has_the_asked_spread_per_image() -> None:
    images = torch.full((3, 3, 128, 128), 0.5)
    out = noise.add_gaussian(images, [2.0, 10.0, 30.0], [False] * 3, generators(3))
    for image, sigma in zip(out, (2.0, 10.0, 30.0), strict=True):
        left = (image - 0.5) * 255
        assert left.std().item() == pytest.approx(sigma, rel=0.02)
        assert abs(left.mean().item()) < 5 * sigma / np.sqrt(left.numel())
        assert abs(np.corrcoef(left.flatten(1).numpy())[0, 1]) < 0.05
        assert stats.kstest(left.numpy().ravel() / sigma, "norm").pvalue > 1e-4


@pytest.mark.parametrize("add", [noise.add_gaussian, noise.add_poisson])
def test_grey_noise_is_shared_by_the_channels_and_by_no_other_image(add: object) -> None:
    images = 0.4 + 0.2 * torch.rand(1, 3, 32, 32).repeat(3, 1, 1, 1)
    left = add(images, [0.5] * 3, [True, True, False], generators(3)) - images  # type: ignore[operator]
    for image in left[:2]:
        torch.testing.assert_close(image[0], image[1], rtol=0, atol=1e-6)
        torch.testing.assert_close(image[0], image[2], rtol=0, atol=1e-6)
    assert not torch.allclose(left[2, 0], left[2, 1], atol=1e-4)
    assert not torch.allclose(left[0, 0], left[1, 0], atol=1e-4)


@pytest.mark.parametrize("v", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_alias_tables_are_the_poisson_distributions(v: int) -> None:
    table, bits = noise._alias_table(v)
    columns = 1 << bits
    table = table.reshape(256, columns)
    kept, other = (table >> 9) / 2**23, (table & 511).astype(int)
    probability = kept / columns
    for row in range(256):
        np.add.at(probability[row], other[row], (1 - kept[row]) / columns)
    exact = stats.poisson.pmf(np.arange(columns), np.arange(256)[:, None] * v / 255)
    assert np.abs(probability - exact).max() < 1e-8
    assert stats.poisson.sf(columns - 1, v) < 1e-17


@pytest.mark.parametrize(("level", "v"), [(0, 8), (1, 1), (37, 64), (128, 256), (255, 256)])
def test_counts_are_poisson(level: int, v: int) -> None:
    levels = np.full((3, 150, 151), level, dtype=np.uint8)
    counts = noise._draw_counts(levels, v, generator(1, 2)).ravel().astype(int)
    rate = level * v / 255
    if rate == 0:
        assert not counts.any()
        return
    edges = np.unique(stats.poisson.ppf(np.linspace(0, 1, 31)[1:-1], rate))
    bins = np.searchsorted(edges, counts)
    expected = np.diff(np.concatenate([[0], stats.poisson.cdf(edges, rate), [1]])) * counts.size
    observed = np.bincount(bins, minlength=len(edges) + 1)
    assert stats.chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-4


def test_odd_number_of_pixels_gets_as_many_draws() -> None:
    assert noise._draw_counts(np.zeros((1, 3, 5), dtype=np.uint8), 2, generator(0, 0)).shape == (1, 3, 5)


@pytest.mark.parametrize(("distinct", "v"), [(2, 2), (3, 4), (4, 4), (5, 8), (100, 128), (129, 256), (200, 256)])
def test_poisson_mean_and_variance(distinct: int, v: int) -> None:
    """Mean x and variance x scale^2 / v, with v the number of distinct 8-bit values rounded up to 2^k."""
    values = (
        torch.linspace(100, 100 + 0.4 * 128, distinct).round() if distinct < 40 else torch.arange(distinct) + 20.0
    )
    assert len(values.unique()) == distinct
    flat = values.repeat(1 + 160**2 * 3 // distinct)[: 160**2 * 3]
    image = (flat / 255).view(1, 3, 160, 160)
    scale = 0.1  # small, so that clipping plays no part
    left = noise.add_poisson(image, [scale], [False], generators(1)) - image
    assert left.mean().item() == pytest.approx(0, abs=5 * scale * (image.mean().item() / v / image.numel()) ** 0.5)
    assert left.var().item() == pytest.approx(scale**2 * image.mean().item() / v, rel=0.03)


def test_poisson_of_grey_counts_the_values_of_the_luma() -> None:
    # Two colours of equal luma have 4 distinct 8-bit values in colour, one in grey.
    image = torch.tensor([200, 100, 100]).view(1, 3, 1, 1).expand(1, 3, 128, 128) / 255
    luma = round(0.2989 * 200 + 0.587 * 100 + 0.114 * 100) / 255
    left = noise.add_poisson(image, [0.1], [True], generators(1)) - image
    assert left.var().item() == pytest.approx(0.01 * luma, rel=0.05)  # v = 1
    steps = torch.unique((left[0, 0] / 0.1 + luma).round())
    assert set(steps.tolist()) <= set(range(12))
    coloured = noise.add_poisson(image, [0.1], [False], generators(1)) - image
    assert coloured[:, 0].var().item() == pytest.approx(0.01 * 200 / 255 / 2, rel=0.05)  # v = 2


def test_noise_is_relative_to_the_rounded_image_and_added_to_the_unrounded_one() -> None:
    image = torch.full((1, 3, 8, 8), 0.3 / 255)  # rounds to 0, whose Poisson is always 0
    assert torch.equal(noise.add_poisson(image, [3.0], [False], generators(1)), image)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 33), st.integers(1, 33), st.floats(0, 50), st.booleans())
def test_results_stay_in_range(n: int, height: int, width: int, strength: float, grey: bool) -> None:
    images = torch.rand(n, 3, height, width) * 1.2 - 0.1  # a bicubic resize overshoots
    for add in (noise.add_gaussian, noise.add_poisson):
        before = images.clone()
        out = add(images, [strength] * n, [grey] * n, generators(n))
        assert out.shape == images.shape
        assert out.dtype == torch.float32
        assert out.min() >= 0
        assert out.max() <= 1
        assert torch.equal(images, before)


@pytest.mark.parametrize("add", [noise.add_gaussian, noise.add_poisson])
def test_same_generator_same_noise_in_any_batch(add: object) -> None:
    images = torch.rand(4, 3, 33, 21)
    strengths, grey = [1.0, 2.0, 3.0, 0.5], [True, False, False, True]
    together = add(images, strengths, grey, generators(4))  # type: ignore[operator]
    tensor = add(images, torch.tensor(strengths), grey, generators(4))  # type: ignore[operator]
    assert torch.equal(together, tensor)
    for i in (3, 1):
        alone = add(images[i : i + 1], [strengths[i]], [grey[i]], [generator(7, i)])  # type: ignore[operator]
        assert torch.equal(alone[0], together[i])
    assert not torch.equal(add(images, strengths, grey, [generator(8, i) for i in range(4)]), together)  # type: ignore[operator]


def test_zero_strength_only_clips() -> None:
    images = torch.rand(1, 3, 9, 9) * 1.5
    for add in (noise.add_gaussian, noise.add_poisson):
        assert torch.equal(add(images, [0.0], [False], generators(1)), images.clamp(0, 1))


@pytest.mark.parametrize("add", [noise.add_gaussian, noise.add_poisson])
def test_wrong_counts_are_refused(add: object) -> None:
    with pytest.raises(ValueError, match="2 images need as many parameters and generators, not 1, 2, 2"):
        add(torch.rand(2, 3, 8, 8), [1.0], [False, False], generators(2))  # type: ignore[operator]


def test_peaks_by_hand() -> None:
    """3 distinct levels, 1, and 256 of them; the mask leaves 2 of the first's."""
    levels = torch.zeros(3, 1, 16, 16)
    levels[0, 0, 0, :2] = torch.tensor([7.0, 255.0])
    levels[1] = 9
    levels[2] = torch.arange(256.0).view(1, 16, 16)
    assert noise.distinct_peaks(levels).tolist() == [4, 1, 256]
    inside = torch.ones(3, 1, 16, 16, dtype=torch.bool)
    inside[0, 0, 0, 1] = False
    assert noise.distinct_peaks(levels, inside).tolist() == [2, 1, 256]


def test_mixed_noise_has_the_covariance_of_its_matrix() -> None:
    """Sample covariance of 60,000 pixels against A Aᵀ; without a matrix, against the identity."""
    matrix = ((0.8, 0.1, 0.0), (0.3, 0.5, -0.4), (0.0, 0.2, 0.6))
    images = torch.full((2, 3, 200, 300), 0.5)
    generators = [np.random.default_rng(number) for number in range(2)]
    out = noise.add_gaussian(images, [25.0, 25.0], [False, False], generators, [matrix, None])
    drawn = ((out - images) * 255 / 25).flatten(2)
    covariance = drawn @ drawn.mT / drawn.shape[2]
    expected = torch.tensor(matrix) @ torch.tensor(matrix).T
    torch.testing.assert_close(covariance[0], expected, rtol=0, atol=0.02)
    torch.testing.assert_close(covariance[1], torch.eye(3), rtol=0, atol=0.03)


def test_mixing_by_hand_and_where_there_is_none() -> None:
    pixels = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1).repeat(2, 1, 1, 2)
    mixed = noise.mix(pixels, [((1.0, 1.0, 0.0), (0.0, 0.0, 0.5), (-1.0, 0.0, 1.0)), None])
    assert mixed[0, :, 0, 1].tolist() == [3.0, 2.0, 3.0]
    assert torch.equal(mixed[1], pixels[1])
