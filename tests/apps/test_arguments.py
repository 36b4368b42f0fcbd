"""Arguments that several commands have in common."""

from pathlib import Path

import cv2
import pytest
import torch

from blindsr.apps import arguments
from blindsr.runtime import parallel
from blindsr.runtime.errors import UserError


def test_a_model_is_completed_to_runs_controls_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "srresnet-rff-0.safetensors").touch()
    (tmp_path / "big.pth").touch()
    assert arguments.complete_model("") == ["srresnet-rff-0", "bicubic", "bilinear", "big.pth", "models/"]
    assert arguments.complete_model("bi") == ["bicubic", "bilinear", "big.pth"]
    assert arguments.complete_model("models/") == ["models/srresnet-rff-0.safetensors"]
    assert arguments.complete_model("nowhere/x") == []


def test_threads_hold_inside_of_the_block() -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    with arguments.cores(3) as count:
        assert (count, torch.get_num_threads(), cv2.getNumThreads()) == (3, 3, 3)
    with arguments.cores(None) as count:
        assert (count, torch.get_num_threads(), cv2.getNumThreads()) == (parallel.usable_cores(), *before)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


def test_tile() -> None:
    assert [arguments.tile(text) for text in ("auto", "none", "64")] == ["auto", None, 64]
    for text in ("0", "-1", "big", ""):
        with pytest.raises(UserError, match=f"--tile {text}: give LR pixels, auto or none"):
            arguments.tile(text)
