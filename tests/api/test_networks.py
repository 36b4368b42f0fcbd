"""Networks by name and file, on arrays and tensors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import blindsr
from blindsr.data.images import bicubic_upscale, to_float, to_uint8
from blindsr.model import weight_files
from blindsr.model.architecture import build_backbone
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime.errors import UserError

LR = np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a run whose weights are in models/."""
    monkeypatch.chdir(tmp_path)
    hyper = {"num_blocks": 1, "num_features": 4}
    info = WeightsInfo(
        backbone="srresnet", hyper=hyper, scale=4, regularizer="rff", seed=0, iterations=0, run="srresnet-rff-0"
    )
    weight_files.save(build_backbone("srresnet", hyper, 4), info, Path("models/srresnet-rff-0.safetensors"))
    return "srresnet-rff-0"


def test_every_form_goes_through_the_same_network(run: str) -> None:
    network = blindsr.load(run, device="cpu")
    assert (network.scale, repr(network)) == (4, "Upscaler(SRResNet, scale=4)")
    with torch.inference_mode():
        sr = network.network(to_float(LR)[None])[0].clamp(0, 1)
    bytes_ = network.upscale(LR)
    assert np.array_equal(bytes_, to_uint8(sr))
    torch.testing.assert_close(network.upscale(to_float(LR)), sr)
    batch = network.upscale(to_float(LR)[None].repeat(2, 1, 1, 1).double())
    assert batch.dtype == torch.float64
    torch.testing.assert_close(batch[1].float(), sr)
    floats = network.upscale(LR / 255)
    assert floats.dtype == np.float64
    np.testing.assert_allclose(floats.transpose(2, 0, 1), sr, atol=1e-5)
    assert np.array_equal(blindsr.upscale(LR, run, device="cpu"), bytes_)
    assert np.array_equal(blindsr.upscale(LR, Path("models") / f"{run}.safetensors", device="cpu"), bytes_)
    assert np.array_equal(blindsr.upscale(LR, network, tile=8), bytes_)


def test_grey_alpha_and_16_bits_are_kept() -> None:
    bicubic = blindsr.load("bicubic", scale=2, device="cpu")
    assert np.abs(bicubic.upscale(LR).astype(int) - bicubic_upscale(LR, 2)).max() <= 1
    deep = bicubic.upscale(LR.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - bicubic.upscale(LR)).max() <= 0.51
    assert bicubic.upscale(LR[:, :, 0]).shape == (24, 30)
    alpha = np.full((12, 15, 1), 128, np.uint8)
    assert bicubic.upscale(np.concatenate([LR, alpha], 2))[:, :, 3].tolist() == np.full((24, 30), 128).tolist()


def test_what_does_not_fit_is_said(run: str) -> None:
    with pytest.raises(UserError, match="did you mean srresnet-rff-0"):
        blindsr.load("srresnet-rf-0")
    with pytest.raises(UserError, match="upscales by 4, not by 2"):
        blindsr.load(run, scale=2)
    with pytest.raises(UserError, match="unknown device tpu"):
        blindsr.load(run, device="tpu")
    network = blindsr.load(run, device="cpu")
    for image, says in (
        (Image.fromarray(LR), "not Image; np.asarray"),
        (LR.astype(int), "must be uint8, uint16, or floats"),
        (LR[:, :, :2], r"\(h, w, 3\)"),
        (torch.from_numpy(LR), "expected an LR image of shape"),
        (LR.astype(float), r"must lie in \[0, 1\]: divide those in 0..255 by 255"),
        (torch.full((1, 3, 8, 8), -0.5), r"must lie in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=says):
            network.upscale(image)
    with pytest.raises(ValueError, match="tile must be \"auto\", None or a number of LR px, not 'big'"):
        network.upscale(LR, tile="big")
