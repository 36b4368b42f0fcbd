"""The three published networks of Real-ESRGAN: their scores, and the same pixels as from a bare forward pass."""

from pathlib import Path

import numpy as np
import pytest
import torch

from blindsr.apps.photos import upscale
from blindsr.data import images, suite
from blindsr.foreign import checkpoints
from blindsr.model import inference
from blindsr.plugins.metrics.psnr_db import psnr

CLEAN = 20.55
"""PSNR in dB of realesrgan-x4plus on the clean third image of Set5, whose five have the known mean of 24.36 dB."""


@pytest.fixture
def public(real_data: Path) -> Path:
    """Folder of the weights; the test is skipped where it is not."""
    folder = real_data / "weights" / "public"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: it has the weights of Real-ESRGAN")
    return folder


@pytest.mark.slow
def test_the_known_score_on_an_image_of_set5(public: Path, real_data: Path) -> None:
    (path,) = (real_data / "benchmarks" / "Set5").glob("img_003.png")
    hr = images.mod_crop(images.read_rgb(path), 4)
    lr = suite.degrade_suite(hr, suite.PAPER, "Set5", path.stem)["clean"]
    network = checkpoints.load(public / "realesrgan-x4plus.pth", 4)
    (sr,) = inference.upscale_rgb(network, [lr], 4)
    assert psnr(sr, hr) == pytest.approx(CLEAN, abs=0.02)


@pytest.mark.parametrize(
    "name",
    [
        "realesrgan-x4plus",
        "realesrgan-x4plus-anime",
        pytest.param("realesr-animevideov3-x4", marks=pytest.mark.needs("spandrel")),
    ],
)
def test_upscale_makes_the_pixels_of_a_bare_forward_pass(public: Path, tmp_path: Path, name: str) -> None:
    """To one level of 255; half precision on disk is float32 here."""
    photo = images.bicubic_upscale(np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8), 5)
    images.write_png(tmp_path / "photo.png", photo)
    upscale.run([str(tmp_path / "photo.png")], str(public / f"{name}.pth"), out=tmp_path / "out", device="cpu")
    (made,) = (images.read_rgb(path) for path in (tmp_path / "out").glob("*.png"))
    network = checkpoints.load(public / f"{name}.pth", 4)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    with torch.inference_mode():
        bare = network(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255)[0].clamp(0, 1).mul(255).round()
    assert np.abs(made.astype(int) - bare.permute(1, 2, 0).numpy()).max() <= 1
