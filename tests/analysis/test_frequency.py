"""Frequency error per radial band."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.analysis.frequency import band_edges, radial_bands, radial_mape
from blindsr.runtime.errors import UserError


def picture(height=32, width=40, seed=0):
    return np.random.default_rng(seed).random((height, width, 3)) + 0.1


def filtered(image, gain):
    """The image with each coefficient of its spectrum multiplied by `gain` (H, W)."""
    spectrum = np.fft.fft2(image, axes=(0, 1)) * gain[:, :, None]
    result = np.fft.ifft2(spectrum, axes=(0, 1))
    assert np.abs(result.imag).max() < 1e-12
    return result.real


@pytest.mark.parametrize("band", [0, 3, 7])
@pytest.mark.parametrize("size", [(32, 40), (33, 25)])
def test_scaling_one_band_shows_in_it_alone(band, size):
    hr = picture(*size)
    gain = np.where(radial_bands(*size, 8) == band, 1.1, 1.0)
    expected = np.zeros(8)
    expected[band] = 10
    np.testing.assert_allclose(radial_mape(filtered(hr, gain), hr, bands=8), expected, atol=1e-6)


def test_error_is_absolute():
    hr = picture()
    band = radial_bands(32, 40, 4)
    gain = np.array([0.75, 1.25, 0.0, 3.0])[band]
    np.testing.assert_allclose(radial_mape(filtered(hr, gain), hr, bands=4), [25, 25, 100, 200], atol=1e-6)


def test_error_is_a_mean_of_percentages():
    """One coefficient pair of a ring off by half gives 50 · 2 / (members of the ring)."""
    hr = picture(16, 16)
    gain = np.ones((16, 16))
    gain[2, 3] = gain[-2, -3] = 0.5
    band = radial_bands(16, 16, 6)
    expected = np.zeros(6)
    expected[band[2, 3]] = 50 * 2 / (band == band[2, 3]).sum()
    np.testing.assert_allclose(radial_mape(filtered(hr, gain), hr, bands=6), expected, atol=1e-6)


def test_equal_images_have_no_error_and_the_unit_does_not_matter():
    hr, sr = picture(), picture(seed=1)
    np.testing.assert_allclose(radial_mape(hr, hr), 0, atol=1e-9)
    np.testing.assert_allclose(radial_mape(255 * sr, 255 * hr), radial_mape(sr, hr), rtol=1e-9)


def test_moving_the_image_round_its_border_is_no_error():
    hr = picture()
    np.testing.assert_allclose(radial_mape(np.roll(hr, (5, 7), (0, 1)), hr), 0, atol=1e-6)


def test_uint8_images_do_not_wrap():
    hr = np.full((8, 8, 3), 200, np.uint8)
    assert radial_mape(hr + np.uint8(50), hr, bands=2)[0] == pytest.approx(25)


def test_luma_is_compared():
    hr, sr = np.full((8, 8, 3), 0.5), np.full((8, 8, 3), 0.5)
    sr[:, :, 1] += 0.1
    assert radial_mape(sr, hr, bands=1)[0] == pytest.approx(100 * 0.1 * 0.587 / 0.5)


def test_bands_where_hr_has_nothing_are_nan():
    flat = np.full((16, 16, 3), 0.5)
    error = radial_mape(picture(16, 16), flat, bands=4)
    assert error[0] > 0
    assert np.isnan(error[1:]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50))
def test_bands_cover_the_spectrum_and_hold_their_edges(height, width, bands):
    band, edges = radial_bands(height, width, bands), band_edges(bands)
    assert band.shape == (height, width)
    assert band[0, 0] == 0
    distance = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    assert (distance >= edges[band] - 1e-12).all()
    assert (distance <= edges[band + 1] + 1e-12).all()
    assert radial_mape(np.ones((height, width, 3)), np.ones((height, width, 3)), bands).shape == (bands,)


def test_highest_frequency_is_in_the_last_band():
    assert radial_bands(16, 16, 10)[8, 8] == 9
    assert radial_bands(16, 16, 10)[8, 0] == 7  # 0.5 of 0.707 cycles per pixel


def test_bad_pairs():
    with pytest.raises(UserError, match="40×32 and 40×31"):
        radial_mape(picture(), picture()[:31])
    with pytest.raises(ValueError, match="same unit"):
        radial_mape(picture(), np.zeros((32, 40, 3), np.uint8))
    with pytest.raises(ValueError, match="shape"):
        radial_mape(picture()[:, :, 0], picture()[:, :, 0])
    with pytest.raises(ValueError, match="bands"):
        radial_mape(picture(), picture(), bands=0)
