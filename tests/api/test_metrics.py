"""Metrics of arrays and tensors, single and in batches."""

import math

import numpy as np
import pytest
import torch

import blindsr
from blindsr.data.images import bicubic_downscale
from blindsr.plugins.metrics import psnr_db, psnr_y_db
from blindsr.plugins.metrics import ssim as ssims
from blindsr.plugins.metrics.operators.detail import DetailOf
from blindsr.runtime.errors import UserError

_DRAW = np.random.default_rng(0)
HR = _DRAW.integers(0, 256, (3, 32, 36, 3), dtype=np.uint8)
SR = (HR * 0.8 + _DRAW.integers(0, 50, HR.shape)).astype(np.uint8)
LR = np.stack([bicubic_downscale(hr, 4) for hr in HR])


def forms(images: np.ndarray) -> list:
    """The same images in every form that is taken."""
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    return [images, images / 255, (images / 255).astype(np.float32), tensor, tensor / 255, (tensor / 255).double()]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (blindsr.psnr, lambda sr, hr, lr: psnr_db.psnr(sr, hr)),
        (blindsr.psnr_y, lambda sr, hr, lr: psnr_y_db.psnr_y(sr, hr)),
        (blindsr.ssim, lambda sr, hr, lr: ssims.ssim(sr, hr)),
        (blindsr.detail_cosine, lambda *triple: DetailOf(4)(*triple).cosine),
        (blindsr.detail_amplitude, lambda *triple: DetailOf(4)(*triple).amplitude),
        (blindsr.psnr_best, lambda *triple: DetailOf(4)(*triple).best_psnr),
    ],
)
def test_every_form_has_the_scores_of_the_tables(function, expected) -> None:
    wanted = [expected(*triple) for triple in zip(SR, HR, LR, strict=True)]
    of_lr = function in (blindsr.detail_cosine, blindsr.detail_amplitude, blindsr.psnr_best)
    for sr, hr, lr in zip(forms(SR), forms(HR), forms(LR), strict=True):
        found = function(sr, hr, *([lr] if of_lr else []))
        assert isinstance(found, np.ndarray)
        assert found.tolist() == wanted
        one = function(sr[0], hr[0], *([lr[0]] if of_lr else []))
        assert isinstance(one, float)
        assert one == wanted[0]


def test_a_difference_is_the_sum_of_its_parts() -> None:
    other = (HR * 0.5 + 60).astype(np.uint8)
    split = blindsr.split_difference(SR, other, HR, LR)
    assert split.total.shape == (3,)
    np.testing.assert_allclose(split.direction + split.amplitude, split.total, atol=1e-9)
    np.testing.assert_allclose(split.total, blindsr.psnr(SR, HR) - blindsr.psnr(other, HR), atol=1e-9)
    one = blindsr.split_difference(SR[0], other[0], HR[0], LR[0])
    assert float(one.direction) == pytest.approx(split.direction[0])
    assert one.total.shape == ()


def test_sr_is_clamped_and_border_left_out() -> None:
    hr = np.full((16, 16, 3), 255, np.uint8)
    sr = torch.full((3, 16, 16), 1.3)
    sr[:, 0] = 0
    assert blindsr.psnr(sr, torch.from_numpy(hr).permute(2, 0, 1)) == math.inf
    assert blindsr.psnr(sr, torch.from_numpy(hr).permute(2, 0, 1), crop_border=0) < 20


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="one shape"):
        blindsr.psnr(SR, HR[0])
    with pytest.raises(ValueError, match=r"of shape \(H, W, 3\)"):
        blindsr.psnr(SR[..., 0], HR[..., 0])
    with pytest.raises(ValueError, match=r"of shape \(3, H, W\)"):
        blindsr.psnr(torch.from_numpy(SR), torch.from_numpy(HR))
    with pytest.raises(ValueError, match="divide those in"):
        blindsr.psnr(SR.astype(float), HR.astype(float))
    for sr in (SR.astype(float), torch.from_numpy(SR.astype(np.float32))):  # HR alone tells nothing of SR's range
        hr = HR if isinstance(sr, np.ndarray) else torch.from_numpy(HR)
        with pytest.raises(ValueError, match="divide those in|of shape"):
            blindsr.psnr(sr, hr)
    broken = SR.astype(float) / 255
    broken[..., 0, 0] = math.nan
    with pytest.raises(UserError, match="NaN"):
        blindsr.psnr(broken, HR)
    with pytest.raises(ValueError, match="uint8 or floating-point"):
        blindsr.psnr(SR.astype(int), HR.astype(int))
    with pytest.raises(ValueError, match="an array or a tensor"):
        blindsr.psnr([1], [1])
    with pytest.raises(UserError, match="too small"):
        blindsr.ssim(SR[:, :12], HR[:, :12])
