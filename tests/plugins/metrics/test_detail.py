"""What a network adds, taken apart: by hand, against PSNR, and on residuals that were scaled or turned on purpose."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from blindsr.config import registry
from blindsr.plugins.metrics import detail_amplitude, detail_cosine, psnr_best_db
from blindsr.plugins.metrics.base import RGB
from blindsr.plugins.metrics.operators import detail as operator
from blindsr.plugins.metrics.operators.detail import Detail, DetailOf
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.runtime.errors import UserError


def picture(height: int, width: int, seed: int = 0) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def bicubic(lr: RGB, scale: int = 4) -> RGB:
    height, width = lr.shape[:2]
    return np.array(Image.fromarray(lr).resize((width * scale, height * scale), Image.Resampling.BICUBIC))


def test_a_grey_step_by_hand() -> None:
    """A flat LR image of 100: HR is 103 in all pixels, SR 104 in half of them and 100 in the others."""
    lr, hr = np.full((4, 4, 3), 100, np.uint8), np.full((16, 16, 3), 103, np.uint8)
    sr = np.full((16, 16, 3), 100, np.uint8)
    sr[:, :8] = 104
    detail = DetailOf(0)(sr, hr, lr)
    count = 16 * 16 * 3
    assert detail == Detail(9 * count, 16 * count / 2, 12 * count / 2, count)
    assert detail.cosine == pytest.approx(1 / math.sqrt(2), abs=1e-15)
    assert detail.amplitude == pytest.approx(4 / 3 / math.sqrt(2), abs=1e-15)
    assert detail.best_psnr == pytest.approx(10 * math.log10(255**2 / 4.5), abs=1e-12)


@pytest.mark.parametrize("border", [0, 4])
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_psnr_is_that_of_bicubic_and_the_parts(border: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """PSNR(SR) = PSNR(B) - 10 log10(1 - 2gc + g²), to the last digits, since all sums are of whole numbers."""
    monkeypatch.setattr(operator, "_ROWS", rows)
    lr, hr = picture(6, 5), picture(24, 20, 1)
    for seed in range(5):
        sr = picture(24, 20, 10 + seed)
        detail = DetailOf(border)(sr, hr, lr)
        c, g = detail.cosine, detail.amplitude
        expected = psnr(bicubic(lr), hr, border) - 10 * math.log10(1 - 2 * g * c + g * g)
        assert psnr(sr, hr, border) == pytest.approx(expected, abs=1e-9)


def test_turned_up_or_down_only_the_amplitude_changes() -> None:
    """A residual of even levels and its half have one cosine and one best PSNR, up to nothing: both are whole."""
    lr = np.full((6, 6, 3), 128, np.uint8)
    hr, draw = picture(24, 24, 3), np.random.default_rng(4)
    added = 2 * draw.integers(-20, 21, hr.shape)
    whole, half = (DetailOf(4)((128 + one).astype(np.uint8), hr, lr) for one in (added, added // 2))
    assert whole.cosine == pytest.approx(half.cosine, abs=1e-14)
    assert whole.amplitude == pytest.approx(2 * half.amplitude, rel=1e-14)
    assert whole.best_psnr == pytest.approx(half.best_psnr, abs=1e-12)


def test_turned_to_the_truth_only_the_cosine_changes() -> None:
    """D along one axis, R at a known angle from it, of one length: (5, 0), (4, 3) and (0, 5)."""
    lr = np.full((2, 2, 3), 100, np.uint8)
    hr = np.full((8, 8, 3), 100, np.uint8)
    hr[:4] = 110
    details = []
    for along, across in ((5, 0), (4, 3), (0, 5)):
        sr = np.full((8, 8, 3), 100, np.uint8)
        sr[:4], sr[4:] = 100 + along, 100 + across
        details.append(DetailOf(0)(sr, hr, lr))
    assert [round(detail.cosine, 12) for detail in details] == [1, 0.8, 0]
    assert [round(detail.amplitude, 12) for detail in details] == [0.5, 0.5, 0.5]


def test_best_psnr_is_that_of_the_best_of_many_amplitudes() -> None:
    lr, hr, sr = picture(6, 5), picture(24, 20, 1), picture(24, 20, 2)
    base = bicubic(lr).astype(float)
    sr = np.clip(base + 0.3 * (hr - base) + np.random.default_rng(5).normal(0, 20, hr.shape), 0, 255).astype(np.uint8)
    errors = [float(((base + a * (sr - base) - hr) ** 2).mean()) for a in np.linspace(0, 4, 4001)]
    assert DetailOf(0)(sr, hr, lr).best_psnr == pytest.approx(10 * math.log10(255**2 / min(errors)), abs=1e-5)


def test_what_is_not_there_has_no_direction() -> None:
    lr, hr = picture(6, 5), picture(24, 20, 1)
    base = bicubic(lr)
    nothing = DetailOf(0)(base, hr, lr)
    assert math.isnan(nothing.cosine)
    assert nothing.amplitude == 0
    assert nothing.best_psnr == psnr(base, hr, 0)
    perfect = DetailOf(0)(hr, hr, lr)
    assert (perfect.cosine, perfect.amplitude) == (1, 1)
    assert perfect.best_psnr == math.inf
    whole = DetailOf(0)(base, base, lr)
    assert math.isnan(whole.cosine)
    assert math.isnan(whole.amplitude)
    assert whole.best_psnr == math.inf


def test_wrong_detail_is_best_turned_off() -> None:
    lr, hr = picture(6, 5), picture(24, 20, 1)
    base = bicubic(lr)
    wrong = np.clip(2 * base.astype(int) - hr, 0, 255).astype(np.uint8)
    detail = DetailOf(0)(wrong, hr, lr)
    assert detail.cosine < 0
    assert detail.best_psnr == psnr(base, hr, 0)


def test_an_lr_image_of_no_whole_scale_is_one_line() -> None:
    with pytest.raises(UserError, match="20×24 is no multiple of 5×7"):
        DetailOf(0)(picture(24, 20), picture(24, 20), picture(7, 5))


@pytest.mark.parametrize("build", [detail_cosine.build, detail_amplitude.build, psnr_best_db.build])
def test_the_records_share_what_they_compute(build: Callable[..., object]) -> None:
    record = registry.build("metric", build.__module__.rpartition(".")[2], {"crop_border": 3})
    sr, hr, lr = picture(24, 20, 1), picture(24, 20, 2), picture(6, 5)
    assert record.shared is not None
    compute, value = record.shared
    assert compute == DetailOf(3)
    assert record.measure(sr, hr, lr) == value(DetailOf(3)(sr, hr, lr)) == record.against(hr)(sr, lr)


def test_more_detail_is_neither_better_nor_worse() -> None:
    records = [module.build() for module in (detail_cosine, detail_amplitude, psnr_best_db)]
    assert [record.higher_is_better for record in records] == [True, None, True]
