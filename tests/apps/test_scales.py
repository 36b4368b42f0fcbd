"""×2 and ×3 with weights of public architectures: the scale follows the model in `score` and `upscale`."""

import csv
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from blindsr.apps import score
from blindsr.apps import suite as suites
from blindsr.apps.photos import upscale
from blindsr.data import images
from blindsr.foreign import checkpoints
from blindsr.model import architecture, inference
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.runtime.errors import UserError

TINY: dict[str, dict[str, Any]] = {
    "srresnet": {"num_blocks": 1, "num_features": 8},
    "msrn": {"num_blocks": 1, "num_features": 8},
    "rrdb": {"num_blocks": 1, "num_features": 8, "growth": 4},
    "swinir": {"depths": [2], "num_heads": [2], "dim": 8, "window_size": 4, "upsampler": "pixelshuffle"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One HR image whose sides are multiples of neither scale, outside of any project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Mine").mkdir()
    drawn = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    images.write_png(tmp_path / "Mine" / "a.png", images.bicubic_upscale(drawn, 8)[:47, :55])
    return tmp_path / "Mine"


def save(path: Path, backbone: str, scale: int) -> None:
    torch.manual_seed(0)
    torch.save({"params": architecture.build_backbone(backbone, TINY[backbone], scale).state_dict()}, path)


def check(folder: Path, path: Path, scale: int) -> None:
    """`score` and `upscale` of a file are those of the network in it, at its own scale."""
    network, found = checkpoints.read(path)
    assert found == scale
    hr = images.mod_crop(images.read_rgb(folder / "a.png"), scale)
    lr = images.bicubic_downscale(hr, scale)
    sr = next(inference.upscale_rgb(network, [lr], scale))
    score.run(folder, str(path), cases=["clean"], metrics=["psnr_db"], csv=Path("s.csv"))
    with Path("s.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert float(row["psnr_db"]) == pytest.approx(psnr(sr, hr, crop_border=scale), abs=1e-5)
    images.write_png("photo.png", lr)
    upscale.run(["photo.png"], str(path))
    assert np.abs(images.read_rgb(f"photo_x{scale}.png").astype(int) - sr).max() <= 1
    with pytest.raises(UserError, match=f"upscales by {scale}, not by 4: give --scale {scale}"):
        score.run(folder, str(path), scale=4)


@pytest.mark.parametrize(("backbone", "scale"), [("srresnet", 2), ("msrn", 3), ("rrdb", 2), ("swinir", 3)])
def test_weights_of_another_scale(folder: Path, backbone: str, scale: int) -> None:
    save(Path("net.pth"), backbone, scale)
    check(folder, Path("net.pth"), scale)


@pytest.mark.parametrize("scale", [2, 3])
def test_weights_that_spandrel_knows(folder: Path, spandrel: ModuleType, scale: int) -> None:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.save({"params": SRVGGNetCompact(num_feat=8, num_conv=2, upscale=scale).state_dict()}, "net.pth")
    check(folder, Path("net.pth"), scale)


@pytest.mark.parametrize("scale", [2, 3])
def test_the_suite_of_another_scale(folder: Path, scale: int) -> None:
    suites.write(folder, Path("lr"), cases=["clean", "noise"], scale=scale)
    hr = images.mod_crop(images.read_rgb(folder / "a.png"), scale)
    assert np.array_equal(images.read_rgb("lr/clean/a.png"), images.bicubic_downscale(hr, scale))
    suites.verify(Path("lr"), folder)
