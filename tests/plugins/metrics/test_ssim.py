"""SSIM."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from blindsr.data.images import bicubic_downscale, bicubic_upscale, mod_crop, read_rgb
from blindsr.plugins.metrics import ssim as module
from blindsr.plugins.metrics.ssim import build, ssim
from blindsr.runtime.errors import UserError


def picture(height=24, width=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def oracle(sr, hr, border):
    inside = np.s_[border : hr.shape[0] - border, border : hr.shape[1] - border]
    return structural_similarity(
        sr[inside],
        hr[inside],
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2,
        data_range=255,
    )


def test_flat_images_by_hand():
    """Without variance SSIM is the luminance term (2ab + C1) / (a² + b² + C1)."""
    a, b, c1 = 100.0, 150.0, 2.55**2
    sr, hr = np.full((20, 20, 3), 100, np.uint8), np.full((20, 20, 3), 150, np.uint8)
    assert ssim(sr, hr) == pytest.approx((2 * a * b + c1) / (a**2 + b**2 + c1), abs=1e-9)


def test_one_window_by_hand():
    sr, hr = picture(11, 11, 1), picture(11, 11, 2)
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    scores = []
    for a, b in zip(sr.transpose(2, 0, 1) / 1.0, hr.transpose(2, 0, 1) / 1.0, strict=True):
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
        cov = (window * (a - mean_a) * (b - mean_b)).sum()
        c1, c2 = 2.55**2, 7.65**2
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        scores.append(luminance * (2 * cov + c2) / (var_a + var_b + c2))
    assert ssim(sr, hr, crop_border=0) == pytest.approx(np.mean(scores), abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(19, 50), st.integers(19, 50), st.integers(0, 99), st.integers(0, 4), st.integers(1, 60))
def test_agrees_with_scikit_image(height, width, seed, border, noise):
    hr = picture(height, width, seed)
    added = np.random.default_rng(seed + 1).integers(-noise, noise + 1, hr.shape)
    sr = np.clip(hr + added, 0, 255).astype(np.uint8)
    assert ssim(sr, hr, border) == pytest.approx(oracle(sr, hr, border), abs=1e-9)


@pytest.mark.parametrize("positions", [1, 40, 100, 12345])
def test_strips_do_not_show(monkeypatch, positions):
    hr, sr = picture(60, 37, 1), picture(60, 37, 2)
    monkeypatch.setattr(module, "_POSITIONS", positions)
    assert ssim(sr, hr) == pytest.approx(oracle(sr, hr, 4), abs=1e-12)


def test_agrees_with_scikit_image_on_a_real_image(real_data):
    hr = mod_crop(read_rgb(real_data / "benchmarks" / "Set5" / "img_003.png"), 4)
    sr = bicubic_upscale(bicubic_downscale(hr, 4), 4)
    assert 0.5 < ssim(sr, hr) < 0.9
    assert ssim(sr, hr) == pytest.approx(oracle(sr, hr, 4), abs=1e-9)


def test_equal_images_score_one_and_order_does_not_matter():
    a, b = picture(seed=1), picture(seed=2)
    assert ssim(a, a.copy()) == pytest.approx(1, abs=1e-12)
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12)
    assert ssim(a, b) < 0.2


def test_bad_pairs():
    with pytest.raises(UserError, match="different sizes"):
        ssim(picture(), picture()[:23])
    with pytest.raises(UserError, match="needs 19 on each side"):
        ssim(picture(18, 30), picture(18, 30))
    with pytest.raises(ValueError, match="float64"):
        ssim(picture() / 255, picture() / 255)


def test_the_record_measures_with_its_settings():
    sr, hr, lr = picture(seed=1), picture(seed=2), picture(6, 5)
    metric = build(crop_border=3)
    assert (metric.name, metric.title, metric.decimals, metric.higher_is_better) == ("ssim", "SSIM", 4, True)
    assert metric.measure(sr, hr, lr) == metric.against(hr)(sr, lr) == ssim(sr, hr, 3) != ssim(sr, hr, 4)
