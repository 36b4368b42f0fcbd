"""PSNR on luma: weights and rounding by hand."""

import math

import numpy as np
import pytest

from blindsr.plugins.metrics.psnr_y_db import build, psnr_y
from blindsr.runtime.errors import UserError


def picture(height=24, width=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_equal_images_are_infinitely_good():
    image = picture()
    assert psnr_y(image, image.copy()) == math.inf


def test_border_does_not_count():
    hr = picture()
    sr = hr.copy()
    sr[:4], sr[-4:], sr[:, :4], sr[:, -4:] = 0, 0, 0, 0
    assert psnr_y(sr, hr) == math.inf
    assert psnr_y(sr, hr, crop_border=3) < 60
    assert psnr_y(sr, hr, crop_border=0) < psnr_y(sr, hr, crop_border=3)


@pytest.mark.parametrize(("channel", "weight"), [(0, 65.481), (1, 128.553), (2, 24.966)])
def test_luma_weights(channel, weight):
    sr, hr = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    sr[:, :, channel] = 255
    assert psnr_y(sr, hr) == pytest.approx(20 * math.log10(255 / weight), abs=1e-9)


def test_luma_is_not_rounded():
    sr, hr = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    sr[:, :, 2] = 1  # less than a tenth of a luma level
    assert psnr_y(sr, hr) == pytest.approx(20 * math.log10(255 * 255 / 24.966), abs=1e-9)


def test_bad_pairs():
    with pytest.raises(UserError, match="20×24 and 20×23"):
        psnr_y(picture(), picture()[:23])
    with pytest.raises(UserError, match="needs 9 on each side"):
        psnr_y(picture(8, 8), picture(8, 8))
    with pytest.raises(ValueError, match="float32"):
        psnr_y(picture().astype(np.float32), picture())
    with pytest.raises(ValueError, match=r"\(24, 20\)"):
        psnr_y(picture()[:, :, 0], picture()[:, :, 0])
    with pytest.raises(ValueError, match="crop_border"):
        psnr_y(picture(), picture(), -1)


def test_the_record_measures_with_its_settings():
    sr, hr, lr = picture(seed=1), picture(seed=2), picture(6, 5)
    metric = build(crop_border=3)
    assert (metric.name, metric.title, metric.decimals, metric.higher_is_better) == (
        "psnr_y_db",
        "PSNR-Y (dB)",
        2,
        True,
    )
    assert metric.measure(sr, hr, lr) == metric.against(hr)(sr, lr) == psnr_y(sr, hr, 3) != psnr_y(sr, hr, 4)
    assert build().measure(sr, hr, lr) == psnr_y(sr, hr, 4)
