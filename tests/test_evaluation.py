"""Evaluation: rows in order, known scores, sizes that do not fit."""

from pathlib import Path

import numpy as np
import pytest

from blindsr import evaluation, images, networks
from blindsr.errors import UserError
from blindsr.evaluation import Pair, Score
from blindsr.metrics.psnr import psnr


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    """Two images of 42 x 50 px, which are mod-cropped to 40 x 48, and their LR."""
    generator = np.random.default_rng(0)
    found = []
    for name in ("b", "a"):
        hr = generator.integers(0, 256, (42, 50, 3), dtype=np.uint8)
        images.write_png(tmp_path / f"{name}.png", hr)
        images.write_png(tmp_path / f"{name}_lr.png", images.bicubic_downscale(images.mod_crop(hr, 4), 4))
        found.append(Pair("Toy", "clean", name, tmp_path / f"{name}.png", tmp_path / f"{name}_lr.png"))
    return found


def test_one_row_per_pair_in_order_with_known_scores(pairs: list[Pair]) -> None:
    scores = list(
        evaluation.evaluate(
            pairs, lambda lr: images.bicubic_upscale(lr, 4), scale=4, crop_border=4, lpips=lambda sr, hr: 0.5
        )
    )
    assert [score.image for score in scores] == ["b", "a"]
    hr = images.read_rgb(pairs[0].hr)[:40, :48]
    sr = images.bicubic_upscale(images.read_rgb(pairs[0].lr), 4)
    assert scores[0].psnr_db == psnr(sr, hr, 4)
    assert scores[0].lpips == 0.5


def test_the_bicubic_backbone_is_pillows_within_a_hundredth_of_a_db(pairs: list[Pair]) -> None:
    network = networks.build_backbone("bicubic", {}, 4)
    lr = images.read_rgb(pairs[0].lr)
    ours = evaluation.upscale(network, lr, scale=4, tile=None, overlap=0).astype(int)
    assert abs(ours - images.bicubic_upscale(lr, 4)).max() <= 1


def test_an_lr_that_does_not_fit_is_one_line(pairs: list[Pair]) -> None:
    images.write_png(pairs[0].lr, np.zeros((10, 13, 3), np.uint8))
    with pytest.raises(UserError, match="does not fit"):
        list(evaluation.evaluate(pairs, lambda lr: lr, scale=4, crop_border=4, lpips=None))


def test_csv_comes_back_and_has_fixed_bytes(tmp_path: Path) -> None:
    scores = [Score("Toy", "b+n", "007", 20.1234567, 21.5, 0.75, None), Score("Toy", "b+n", "x", 1 / 3, 2, 1, 0.25)]
    evaluation.write_csv(scores, tmp_path / "s.csv")
    text = (tmp_path / "s.csv").read_bytes().decode()
    assert text.splitlines()[1] == "Toy,b+n,007,20.123457,21.500000,0.750000,"
    assert "\r" not in text
    back = evaluation.read_csv(tmp_path / "s.csv")
    assert back[0].image == "007"
    assert back[0].lpips is None
    assert back[1].psnr_db == pytest.approx(1 / 3, abs=1e-6)


def test_means_per_benchmark_and_case() -> None:
    scores = [Score("A", "c", str(i), value, 0, 0, None) for i, value in enumerate((1.0, 3.0))]
    assert evaluation.means([*scores, Score("B", "c", "z", 7.0, 0, 0, None)]) == {
        "psnr_db/A/c": 2.0,
        "psnr_db/B/c": 7.0,
    }
