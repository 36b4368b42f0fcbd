"""Ranks that were worked out by hand."""

import numpy as np
import pytest

from blindsr.apps.leaderboard import ranking

BASE = np.array([30.0, 31.0, 32.0, 33.0])
ZIGZAG = np.array([0.5, -0.5, 0.5, -0.5])
MODELS = [BASE - 1, BASE, BASE + ZIGZAG]  # the last two have one mean, 31.5


def test_a_rank_is_a_span_where_a_pair_is_open() -> None:
    """BASE + ZIGZAG minus BASE - 1 is 1 ± 3.182 · 0.577 / √4: above 0. BASE + ZIGZAG minus BASE is 0 ± 0.92."""
    made = ranking.rank(MODELS, [4], higher_is_better=True)
    assert made.means == pytest.approx([30.5, 31.5, 31.5])
    assert made.order == [1, 2, 0]
    assert (made.first, made.last) == ([3, 1, 1], [3, 2, 2])
    assert made.above.tolist() == [[0, -1, -1], [1, 0, 0], [1, 0, 0]]
    assert made.difference[2, 0] == pytest.approx(1)
    half = 3.182446 * np.std(ZIGZAG, ddof=1) / 2
    assert (made.low[2, 0], made.high[2, 0]) == pytest.approx((1 - half, 1 + half), abs=0.05)
    assert made.low[0, 2] == -made.high[2, 0]
    assert (made.low[1, 0], made.high[1, 0]) == pytest.approx((1, 1))  # every image gains the same


def test_less_can_be_better() -> None:
    made = ranking.rank(MODELS, [4], higher_is_better=False)
    assert made.order == [0, 1, 2]
    assert (made.first, made.last) == ([1, 2, 2], [1, 3, 3])
    assert made.above[0].tolist() == [0, 1, 1]


def test_sets_count_alike() -> None:
    one = np.array([20.0, 20.0, 30.0, 30.0, 30.0, 30.0])
    made = ranking.rank([one, one + np.array([3.0, 3.0, 0, 0, 0, 0])], [2, 4], higher_is_better=True)
    assert made.means == pytest.approx([25, 26.5])
    assert made.difference[1, 0] == pytest.approx(1.5)


def test_one_image_makes_nothing_certain() -> None:
    made = ranking.rank([np.array([20.0]), np.array([30.0])], [1], higher_is_better=True)
    assert made.order == [1, 0]
    assert (made.first, made.last) == ([1, 1], [2, 2])


def test_one_model_is_the_first() -> None:
    made = ranking.rank([BASE], [4], higher_is_better=True)
    assert (made.first, made.last, made.order) == ([1], [1], [0])
