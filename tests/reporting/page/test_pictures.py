"""Pictures inside the page: the same pixels, and no more than the budget holds."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

import synthetic_page
from blindsr.data import images
from blindsr.reporting.page import pictures, rendering


def test_whole_cases_without_loss_as_the_budget_allows(tmp_path: Path) -> None:
    scores = synthetic_page.scores(synthetic_page.SMALL, ["srresnet"], ["psnr_db"])
    gallery = synthetic_page.gallery(tmp_path, scores, ["Set5"], side=32)
    both = pictures.inside(tmp_path, gallery, ["b+n+j", "clean"])
    hard = set(rendering.paths_of(gallery, ["b+n+j"]))
    assert len(hard) == 2 * (2 + 7)  # of each image HR, LR and seven rows
    assert len(both) == 2 * (1 + 2 * 8) - 1  # one of clean is not there
    for path, content in both.items():
        made = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
        assert np.array_equal(made, images.read_rgb(tmp_path / path))
    size = sum(len(base64.b64decode(both[path])) for path in hard)
    assert set(pictures.inside(tmp_path, gallery, ["b+n+j", "clean"], budget=size)) == hard
    assert pictures.inside(tmp_path, gallery, ["b+n+j", "clean"], budget=size - 1) == {}
    assert rendering.paths_of(gallery, []) == [entry["hr"] for entry in gallery]
