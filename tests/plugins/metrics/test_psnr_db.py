"""PSNR on RGB: known answers, and scikit-image as the oracle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from blindsr.plugins.metrics.psnr_db import build, psnr
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


def test_border_does_not_count():
    hr = picture()
    sr = hr.copy()
    sr[:4], sr[-4:], sr[:, :4], sr[:, -4:] = 0, 0, 0, 0
    assert psnr(sr, hr) == math.inf
    assert psnr(sr, hr, crop_border=3) < 60
    assert psnr(sr, hr, crop_border=0) < psnr(sr, hr, crop_border=3)


@settings(max_examples=30, deadline=None)
@given(st.integers(9, 40), st.integers(9, 40), st.integers(0, 99), st.integers(0, 4))
def test_agrees_with_scikit_image(height, width, seed, border):
    sr, hr = picture(height, width, seed), picture(height, width, seed + 100)
    inside = np.s_[border : height - border, border : width - border]
    assert psnr(sr, hr, border) == pytest.approx(peak_signal_noise_ratio(hr[inside], sr[inside]), abs=1e-10)
    assert psnr(sr, hr, border) == psnr(hr, sr, border)


def test_bad_pairs():
    with pytest.raises(UserError, match="20×24 and 20×23"):
        psnr(picture(), picture()[:23])
    with pytest.raises(UserError, match="needs 9 on each side"):
        psnr(picture(8, 8), picture(8, 8))
    with pytest.raises(ValueError, match="float32"):
        psnr(picture().astype(np.float32), picture())
    with pytest.raises(ValueError, match=r"\(24, 20\)"):
        psnr(picture()[:, :, 0], picture()[:, :, 0])
    with pytest.raises(ValueError, match="crop_border"):
        psnr(picture(), picture(), -1)


def test_the_record_measures_with_its_settings():
    sr, hr, lr = picture(seed=1), picture(seed=2), picture(6, 5)
    metric = build(crop_border=3)
    assert (metric.name, metric.title, metric.decimals, metric.higher_is_better) == ("psnr_db", "PSNR (dB)", 2, True)
    assert metric.measure(sr, hr, lr) == metric.against(hr)(sr, lr) == psnr(sr, hr, 3) != psnr(sr, hr, 4)
    assert build().measure(sr, hr, lr) == psnr(sr, hr, 4)
