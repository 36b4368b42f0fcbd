"""PSNR on RGB, on luma and at the best shift."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.plugins.metrics.psnr_shift_db import psnr_best_shift
from blindsr.plugins.metrics.psnr_y_db import psnr_y
from blindsr.runtime.errors import UserError


def picture(height=24, width=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_known_answers():
    black, grey = np.zeros((10, 12, 3), np.uint8), np.full((10, 12, 3), 51, np.uint8)
    assert psnr(black, grey) == pytest.approx(20 * math.log10(5), abs=1e-12)  # 255 / 51
    assert psnr(black, np.full_like(black, 255)) == 0
    one_channel = black.copy()
    one_channel[:, :, 1] = 30
    assert psnr(one_channel, black) == pytest.approx(10 * math.log10(255**2 / 300), abs=1e-12)


def test_unsigned_differences_do_not_wrap():
    assert psnr(np.full((9, 9, 3), 1, np.uint8), np.full((9, 9, 3), 3, np.uint8)) == pytest.approx(
        10 * math.log10(255**2 / 4)
    )


def test_equal_images_are_infinitely_good():
    image = picture()
    assert psnr(image, image.copy()) == math.inf
    assert psnr_y(image, image.copy()) == math.inf


@pytest.mark.parametrize("metric", [psnr, psnr_y])
def test_border_does_not_count(metric):
    hr = picture()
    sr = hr.copy()
    sr[:4], sr[-4:], sr[:, :4], sr[:, -4:] = 0, 0, 0, 0
    assert metric(sr, hr) == math.inf
    assert metric(sr, hr, crop_border=3) < 60
    assert metric(sr, hr, crop_border=0) < metric(sr, hr, crop_border=3)


@settings(max_examples=30, deadline=None)
@given(st.integers(9, 40), st.integers(9, 40), st.integers(0, 99), st.integers(0, 4))
def test_agrees_with_scikit_image(height, width, seed, border):
    sr, hr = picture(height, width, seed), picture(height, width, seed + 100)
    inside = np.s_[border : height - border, border : width - border]
    assert psnr(sr, hr, border) == pytest.approx(peak_signal_noise_ratio(hr[inside], sr[inside]), abs=1e-10)
    assert psnr(sr, hr, border) == psnr(hr, sr, border)


@pytest.mark.parametrize(("channel", "weight"), [(0, 65.481), (1, 128.553), (2, 24.966)])
def test_luma_weights(channel, weight):
    sr, hr = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    sr[:, :, channel] = 255
    assert psnr_y(sr, hr) == pytest.approx(20 * math.log10(255 / weight), abs=1e-9)


def test_luma_is_not_rounded():
    sr, hr = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    sr[:, :, 2] = 1  # less than a tenth of a luma level
    assert psnr_y(sr, hr) == pytest.approx(20 * math.log10(255 * 255 / 24.966), abs=1e-9)


@pytest.mark.parametrize("metric", [psnr, psnr_y])
def test_bad_pairs(metric):
    with pytest.raises(UserError, match="20×24 and 20×23"):
        metric(picture(), picture()[:23])
    with pytest.raises(UserError, match="needs 9 on each side"):
        metric(picture(8, 8), picture(8, 8))
    with pytest.raises(ValueError, match="float32"):
        metric(picture().astype(np.float32), picture())
    with pytest.raises(ValueError, match=r"\(24, 20\)"):
        metric(picture()[:, :, 0], picture()[:, :, 0])
    with pytest.raises(ValueError, match="crop_border"):
        metric(picture(), picture(), -1)


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
