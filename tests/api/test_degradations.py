"""Degradations of batches."""

import numpy as np
import pytest
import torch

import blindsr
from blindsr.plugins.degradations import second_order
from blindsr.runtime.errors import UserError

HR = torch.rand(3, 3, 96, 88, generator=torch.Generator().manual_seed(0))
KINDS = (blindsr.RealESRGANDegradation, blindsr.BSRGANDegradation)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_each_image_by_its_place_alone(kind) -> None:
    degrade = kind()
    lr = degrade(HR, seed=7)
    assert lr.shape == (3, 3, 24, 22)
    assert lr.dtype == torch.float32
    assert torch.equal(lr, (lr * 255).round() / 255)
    assert torch.equal(lr[:2], degrade(HR[:2], seed=7))
    alike = degrade(HR[:1].repeat(2, 1, 1, 1), seed=7)
    assert not torch.equal(alike[0], alike[1])


def test_it_is_what_training_does() -> None:
    stream = np.random.Generator(np.random.Philox(key=[7, 0], counter=[0, 0, 0, 0]))
    plugin = second_order.build()
    draw = plugin.draw(stream, 96, 88, 4)
    assert torch.equal(plugin.apply(HR[:1], [draw], [stream], 4), blindsr.RealESRGANDegradation()(HR[:1], seed=7))


def test_without_a_seed_it_is_torchs() -> None:
    degrade = blindsr.BSRGANDegradation(scale=2)
    torch.manual_seed(3)
    first, second = degrade(HR), degrade(HR)
    torch.manual_seed(3)
    assert torch.equal(degrade(HR), first)
    assert not torch.equal(first, second)


def test_threads_change_nothing_and_are_given_back() -> None:
    degrade, before = blindsr.RealESRGANDegradation(), torch.get_num_threads()
    one = degrade(HR, seed=0)
    try:
        torch.set_num_threads(3)
        assert torch.equal(degrade(HR, seed=0), one)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_bytes_and_half_precision_are_taken() -> None:
    degrade = blindsr.RealESRGANDegradation()
    whole = (HR * 255).round()
    assert torch.equal(degrade(whole.to(torch.uint8), seed=0), degrade(whole / 255, seed=0))
    assert degrade(HR.bfloat16(), seed=0).dtype == torch.float32


def test_settings_reach_the_degradation() -> None:
    calm = {"noise_sigma": (0.5, 0.6), "gaussian_probability": 1.0}
    degrade = blindsr.RealESRGANDegradation(first=calm)
    assert degrade.degradation.first.noise_sigma == (0.5, 0.6)
    assert degrade.degradation.second.noise_sigma == (1.0, 25.0)
    assert blindsr.BSRGANDegradation(jpeg_quality=(60, 70)).degradation.settings.jpeg_quality == (60, 70)


def test_what_does_not_fit_is_said() -> None:
    degrade = blindsr.RealESRGANDegradation()
    for hr, says in (
        (HR[0], r"\(N, 3, H, W\)"),
        (HR.numpy(), "not ndarray"),
        (HR.long(), "floating-point in"),
        (HR * 255, "divide those in 0..255 by 255"),
        (HR[:, :, :90], "multiples of 4"),
    ):
        with pytest.raises(ValueError, match=says):
            degrade(hr)
    with pytest.raises(ValueError, match="seed must be"):
        degrade(HR, seed=-1)
    with pytest.raises(ValueError, match="scale must be"):
        blindsr.RealESRGANDegradation(scale=0)
    with pytest.raises(UserError, match=f"40x40 px are too small: use at least {degrade.smallest_side} px"):
        degrade(HR[:, :, :40, :40])
    with pytest.raises(UserError, match="no setting 'sigm'"):
        blindsr.RealESRGANDegradation(first={"sigm": 3})
    with pytest.raises(UserError, match="has no setting 'quality'"):
        blindsr.BSRGANDegradation(quality=3)
