"""Entropy of the channels' dominant DCT bands."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.analysis.channel_entropy import channel_entropy, dct_bands, dominant_bands


def basis(u, v, height=24, width=32):
    """The DCT-II basis image of frequency (u, v)."""
    rows = np.cos(np.pi * u * (np.arange(height) + 0.5) / height)
    columns = np.cos(np.pi * v * (np.arange(width) + 0.5) / width)
    return np.outer(rows, columns)


def one_per_band(bands, height=24, width=32):
    """A frequency (u, v) of each band, the constant one excepted."""
    band = dct_bands(height, width, bands)
    band[0, 0] = -1
    return [tuple(np.argwhere(band == wanted)[0]) for wanted in range(bands)]


@pytest.mark.parametrize("k", [1, 2, 5, 8])
@pytest.mark.parametrize("copies", [1, 3])
def test_single_bases_spread_over_k_bands_give_log_k(k, copies):
    channels = [basis(u, v) for u, v in one_per_band(8)[:k]] * copies
    assert channel_entropy(np.stack(channels), bands=8) == pytest.approx(math.log(k), abs=1e-12)


def test_uneven_shares_by_hand():
    low, high = (basis(u, v) for u, v in (one_per_band(8)[1], one_per_band(8)[6]))
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert channel_entropy(np.stack([low, low, low, high]), bands=8) == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 23), st.integers(0, 31), st.integers(1, 20), st.floats(-50, 50), st.floats(0.01, 9))
def test_dominant_band_of_a_basis_is_its_own_whatever_mean_and_sign(u, v, bands, mean, amplitude):
    if (u, v) == (0, 0):
        return
    channels = np.stack([mean + amplitude * basis(u, v), mean - amplitude * basis(u, v)])
    np.testing.assert_array_equal(dominant_bands(channels, bands), dct_bands(24, 32, bands)[u, v])


def test_energy_of_a_band_is_summed():
    """Three weaker frequencies of one band outweigh a stronger one of another."""
    band = dct_bands(24, 32, 4)
    rich = [tuple(place) for place in np.argwhere(band == 2)[5:8]]
    poor = tuple(np.argwhere(band == 1)[5])
    channel = sum(basis(*place) for place in rich) + 1.5 * basis(*poor)
    assert dominant_bands(channel[None], 4)[0] == 2
    assert dominant_bands((channel + basis(*poor))[None], 4)[0] == 1


def test_constant_channels_are_left_out():
    constant, zero = np.full((24, 32), 0.3), np.zeros((24, 32))
    channels = [basis(u, v) for u, v in one_per_band(8)[:4]]
    np.testing.assert_array_equal(dominant_bands(np.stack([constant, zero]), 8), [-1, -1])
    assert channel_entropy(np.stack([*channels, constant, zero]), 8) == pytest.approx(math.log(4))
    assert channel_entropy(np.stack([constant, zero]), 8) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 20), st.integers(1, 20), st.integers(1, 12), st.integers(0, 99))
def test_entropy_lies_between_zero_and_its_bounds(count, height, width, bands, seed):
    features = np.random.default_rng(seed).normal(size=(count, height, width))
    entropy = channel_entropy(features, bands)
    assert 0 <= entropy <= math.log(min(count, bands)) + 1e-12
    assert not math.copysign(1, entropy) < 0
    assert channel_entropy(7 * features[::-1], bands) == pytest.approx(entropy)


def test_tensors_give_the_same():
    features = torch.randn(12, 16, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = channel_entropy(features.detach().numpy())
    assert channel_entropy(features) == expected
    assert channel_entropy(features.bfloat16()) == channel_entropy(features.bfloat16().float())


def test_bands_are_rings_of_equal_width():
    band = dct_bands(4, 8, 4)
    assert band[0, 0] == 0
    assert band[3, 7] == int(math.hypot(3 / 4, 7 / 8) / math.sqrt(2) * 4) == 3
    assert band[2, 0] == band[0, 4] == int(0.5 / math.sqrt(2) * 4) == 1


def test_bad_features():
    with pytest.raises(ValueError, match=r"\(1, 2, 3, 4\)"):
        channel_entropy(np.zeros((1, 2, 3, 4)))
    with pytest.raises(ValueError, match="NaN"):
        channel_entropy(np.full((1, 4, 4), np.nan))
    with pytest.raises(ValueError, match="bands"):
        channel_entropy(np.zeros((1, 4, 4)), bands=0)
