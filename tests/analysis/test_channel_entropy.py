"""Entropy of the channels' dominant frequencies, of channels whose frequencies are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from blindsr.analysis.channel_entropy import GRID, channel_entropy, dominant_frequencies

OTHERS = [(u, v) for u in range(GRID) for v in range(GRID) if (u, v) != (0, 0)]


def basis(u: int, v: int, pixels: int = 3) -> Tensor:
    """A DCT basis function on GRID x GRID squares of so many pixels, each of one value."""
    rows, columns = (np.cos(np.pi / GRID * frequency * (np.arange(GRID) + 0.5)) for frequency in (u, v))
    return torch.from_numpy(np.outer(rows, columns)).repeat_interleave(pixels, 0).repeat_interleave(pixels, 1)


@pytest.mark.parametrize("count", [1, 2, 7, len(OTHERS)])
@pytest.mark.parametrize("copies", [1, 3])
def test_channels_that_share_out_k_frequencies_have_log_k(count: int, copies: int) -> None:
    channels = [basis(*place) for place in OTHERS[:count]] * copies
    assert channel_entropy(torch.stack(channels)) == pytest.approx(math.log(count), abs=1e-12)


def test_unequal_shares_by_hand() -> None:
    low, high = basis(0, 1), basis(6, 6)
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert channel_entropy(torch.stack([low, low, low, high])) == pytest.approx(expected)


@settings(max_examples=30)
@given(st.sampled_from(OTHERS), st.floats(-100, 100), st.sampled_from([-3.0, -1e-3, 0.5, 40.0]))
def test_a_basis_is_its_own_frequency_whatever_its_mean_sign_and_scale(
    place: tuple[int, int], mean: float, amplitude: float
) -> None:
    channel = mean + amplitude * basis(*place)
    assert dominant_frequencies(channel[None]).tolist() == [place[0] * GRID + place[1]]


def test_the_strongest_of_several_wins() -> None:
    mixed = basis(1, 0) + 1.5 * basis(4, 2) + 0.7 * basis(0, 6)
    assert dominant_frequencies(mixed[None]).tolist() == [4 * GRID + 2]


def test_what_is_finer_than_the_grid_is_averaged_away() -> None:
    """FcaNet's pooling: a pattern within the squares of the grid does not count."""
    fine = torch.tensor([1.0, -1.0]).repeat(21)[:42].expand(42, 42)
    assert dominant_frequencies((fine + 0.01 * basis(2, 3, pixels=6))[None]).tolist() == [2 * GRID + 3]


def test_constant_channels_are_left_out() -> None:
    constant, zero = torch.full((21, 21), 3.7), torch.zeros(21, 21)
    assert dominant_frequencies(torch.stack([constant, zero])).tolist() == [-1, -1]
    assert channel_entropy(torch.stack([constant, zero])) == 0
    mixed = torch.stack([constant.double(), basis(0, 1), basis(1, 0)])
    assert channel_entropy(mixed) == pytest.approx(math.log(2))


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(5, 40), st.integers(5, 40), st.integers(0, 2**32 - 1))
def test_entropy_lies_between_zero_and_its_bounds(count: int, height: int, width: int, seed: int) -> None:
    features = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, height, width)))
    entropy = channel_entropy(features)
    assert 0 <= entropy <= math.log(min(count, len(OTHERS))) + 1e-12
    assert channel_entropy(7 * features.flip(0)) == pytest.approx(entropy)
    assert channel_entropy(features.float()) == pytest.approx(entropy)


def test_what_is_no_feature_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        channel_entropy(torch.zeros(4, 4))
    with pytest.raises(ValueError, match="shape"):
        channel_entropy(torch.zeros(0, 4, 4))
    with pytest.raises(ValueError, match="NaN"):
        channel_entropy(torch.full((1, 4, 4), float("nan")))
    with pytest.raises(ValueError, match="grid"):
        channel_entropy(torch.zeros(1, 4, 4), grid=0)
