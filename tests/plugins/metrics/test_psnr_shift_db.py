"""PSNR at the best shift against a search one by one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.plugins.metrics.psnr_shift_db import build, psnr_best_shift
from blindsr.runtime.errors import UserError


def picture(height=24, width=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=25, deadline=None)
@given(st.integers(-3, 3), st.integers(-3, 3))
def test_best_shift_is_found(down, right):
    hr = picture(40, 44)
    sr = np.roll(hr, (-down, -right), axis=(0, 1))
    assert psnr_best_shift(sr, hr, max_shift=3) == (math.inf, (down, right))


def test_best_shift_equals_the_search_one_by_one():
    smooth = np.cumsum(np.cumsum(np.random.default_rng(3).normal(size=(40, 44, 3)), 0), 1)
    hr = np.interp(smooth, (smooth.min(), smooth.max()), (0, 255)).astype(np.uint8)
    noise = np.random.default_rng(4).integers(-20, 20, hr.shape)
    sr = np.clip(np.roll(hr, (2, -1), axis=(0, 1)).astype(int) + noise, 0, 255).astype(np.uint8)
    scores = {
        (dy, dx): psnr(sr[7 - dy : 33 - dy, 7 - dx : 37 - dx], hr[7:33, 7:37], 0)
        for dy in range(-3, 4)
        for dx in range(-3, 4)
    }
    best, shift = psnr_best_shift(sr, hr, max_shift=3)
    assert shift == max(scores, key=scores.__getitem__) == (-2, 1)
    assert best == scores[shift]


def test_best_shift_of_zero_is_psnr_and_ties_take_the_smallest():
    sr, hr = picture(seed=1), picture(seed=2)
    assert psnr_best_shift(sr, hr, max_shift=0) == (psnr(sr, hr), (0, 0))
    flat = np.full((30, 30, 3), 9, np.uint8)
    assert psnr_best_shift(flat, flat + 1, max_shift=5)[1] == (0, 0)
    with pytest.raises(UserError, match="needs 49"):
        psnr_best_shift(sr, hr, max_shift=20)
    with pytest.raises(UserError, match="max_shift"):
        psnr_best_shift(sr, hr, max_shift=-1)


def test_the_record_searches_as_far_as_the_settings_say():
    hr = picture(40, 44)
    sr, lr = np.roll(hr, (-3, 0), axis=(0, 1)), picture(10, 11)
    metric = build(crop_border=4, max_shift=3)
    assert (metric.name, metric.unit, metric.decimals, metric.higher_is_better) == ("psnr_shift_db", "dB", 2, True)
    assert metric.measure(sr, hr, lr) == metric.against(hr)(sr, lr) == math.inf
    assert build(crop_border=4, max_shift=2).measure(sr, hr, lr) < 30
