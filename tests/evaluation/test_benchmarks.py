"""Evaluation: rows in order, known scores, sizes that do not fit, real LR images, CSV."""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from blindsr.config import registry
from blindsr.data import images
from blindsr.data.pairs import REAL, Pair
from blindsr.evaluation import benchmarks
from blindsr.evaluation.benchmarks import key_of
from blindsr.evaluation.scoring import Key, Measure, Score
from blindsr.model import architecture, inference
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.plugins.metrics.psnr_shift_db import psnr_best_shift
from blindsr.runtime.errors import UserError

MEASURE = Measure(
    [registry.build("metric", name) for name in ("psnr_db", "psnr_y_db", "ssim", "lpips")],
    [registry.build("metric", "psnr_shift_db", max_shift=10)],
)


def bicubic(lrs):
    return (images.bicubic_upscale(lr, 4) for lr in lrs)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    """Two images of 42 x 50 px, which are mod-cropped to 40 x 48, and their LR in two cases."""
    generator = np.random.default_rng(0)
    found = []
    for case in ("clean", "other"):
        for name in ("b", "a"):
            hr = generator.integers(0, 256, (42, 50, 3), dtype=np.uint8)
            if case == "clean":
                images.write_png(tmp_path / f"{name}.png", hr)
            images.write_png(tmp_path / f"{name}_{case}.png", images.bicubic_downscale(images.mod_crop(hr, 4), 4))
            found.append(Pair("Toy", case, name, tmp_path / f"{name}.png", tmp_path / f"{name}_{case}.png"))
    return found


def test_all_cases_of_an_image_are_one_job_with_known_scores(pairs: list[Pair]) -> None:
    results = list(benchmarks.evaluate(pairs, bicubic, MEASURE, 4))
    assert [[(s.key.image, s.key.case) for s in result.scores] for result in results] == [
        [("b", "clean"), ("b", "other")], [("a", "clean"), ("a", "other")],
    ]  # fmt: skip
    hr = images.read_rgb(pairs[0].hr)[:40, :48]
    sr = images.bicubic_upscale(images.read_rgb(pairs[0].lr), 4)
    score = results[0].scores[0]
    assert list(score.values) == ["psnr_db", "psnr_y_db", "ssim"]  # no trunk, and nothing unaligned
    assert score.values["psnr_db"] == psnr(sr, hr, 4)


def test_the_bicubic_backbone_is_pillows_within_a_level(pairs: list[Pair]) -> None:
    network = architecture.build_backbone("bicubic", {}, 4)
    lr = images.read_rgb(pairs[0].lr)
    ours = benchmarks.upscale(network, lr, scale=4, tile=None, overlap=0).astype(int)
    assert abs(ours - images.bicubic_upscale(lr, 4)).max() <= 1


def test_an_lr_that_does_not_fit_or_is_missing_or_cut_is_a_line_and_the_rest_is_scored(pairs: list[Pair]) -> None:
    images.write_png(pairs[0].lr, np.zeros((10, 13, 3), np.uint8))
    pairs[2].lr.write_bytes(pairs[2].lr.read_bytes()[:-40])
    pairs[1].lr.unlink()
    of_b, of_a = benchmarks.evaluate(pairs, bicubic, MEASURE, 4)
    assert of_b.scores == []
    assert "b_clean.png does not fit" in str(of_b.errors[0])
    assert "13×10 for 48×40" in str(of_b.errors[0])
    assert "cannot read image" in str(of_b.errors[1])
    assert "b_other.png" in str(of_b.errors[1])
    assert [score.key.case for score in of_a.scores] == ["other"]
    assert "no image at" in str(of_a.errors[0])


def test_scores_do_not_depend_on_an_exact_tile(tmp_path: Path) -> None:
    """One convolution before the pixel shuffle: 8 px of surroundings are more than enough."""
    import torch

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = torch.nn.Conv2d(3, 48, 3, padding=1)

        def forward(self, lr: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.pixel_shuffle(self.conv(lr), 4)

    hr = np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)
    images.write_png(tmp_path / "hr.png", hr)
    images.write_png(tmp_path / "lr.png", images.bicubic_downscale(hr, 4))
    pair = Pair("Toy", "clean", "a", tmp_path / "hr.png", tmp_path / "lr.png")
    found = []
    for tile in (None, "auto", 8, 17, 32):
        upscale = partial(inference.upscale_rgb, Small(), scale=4, tile=tile, overlap=8)
        (result,) = benchmarks.evaluate([pair], upscale, MEASURE, 4)
        found.append(result.scores[0])
    for score in found[1:]:
        assert score.values == pytest.approx(found[0].values, abs=1e-5)


def test_stamps_change_with_either_image_and_not_with_names(pairs: list[Pair], tmp_path: Path) -> None:
    before = benchmarks.stamps(pairs)
    assert len(set(before.values())) == 4
    moved = pairs[0]._replace(lr=tmp_path / "moved.png")
    pairs[0].lr.rename(moved.lr)
    assert benchmarks.stamps([moved]) == {key_of(moved): before[key_of(moved)]}
    assert benchmarks.stamps(pairs[:1]) == {}
    images.write_png(pairs[1].hr, np.zeros((42, 50, 3), np.uint8))
    after = benchmarks.stamps(pairs)
    assert after[key_of(pairs[1])] != before[key_of(pairs[1])]
    assert after[key_of(pairs[2])] == before[key_of(pairs[2])]


def test_unaligned_images_get_a_shifted_psnr_beside_the_plain_one(tmp_path: Path) -> None:
    """The LR of a scene 4 px to the right and 8 px down: the search finds it, and the plain PSNR stays what it is."""
    coarse = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    scene = images.bicubic_upscale(coarse, 8)
    images.write_png(tmp_path / "0801.png", scene[8:136, 8:168])
    images.write_png(tmp_path / "0801x4m.png", images.bicubic_downscale(scene[0:128, 4:164], 4))
    pair = Pair("T", REAL, "0801x4m", tmp_path / "0801.png", tmp_path / "0801x4m.png", aligned=False)
    (result,) = benchmarks.evaluate([pair], bicubic, MEASURE, 4)
    sr, hr = images.bicubic_upscale(images.read_rgb(pair.lr), 4), images.read_rgb(pair.hr)
    assert result.scores[0].values["psnr_db"] == psnr(sr, hr, 4)
    best, shift = psnr_best_shift(sr, hr, 10)
    assert shift == (-8, -4)
    assert result.scores[0].values["psnr_shift_db"] == best > psnr(sr, hr, 4) + 5
    (result,) = benchmarks.evaluate([pair._replace(aligned=True)], bicubic, MEASURE, 4)
    assert "psnr_shift_db" not in result.scores[0].values


def test_csv_comes_back_and_has_fixed_bytes(tmp_path: Path) -> None:
    scores = [
        Score(Key("Toy", "b+n", "007"), {"psnr_db": 20.1234567, "psnr_y_db": 21.5, "ssim": 0.75}),
        Score(Key("Toy", "b+n", "x"), {"lpips": 0.25, "psnr_db": 1 / 3, "psnr_y_db": 2, "ssim": 1}),
    ]
    benchmarks.write_csv(scores, ["psnr_db", "psnr_y_db", "ssim", "lpips"], tmp_path / "s.csv")
    text = (tmp_path / "s.csv").read_bytes().decode()
    assert text.splitlines()[0] == "benchmark,case,image,psnr_db,psnr_y_db,ssim,lpips"
    assert text.splitlines()[1] == "Toy,b+n,007,20.123457,21.500000,0.750000,"
    assert "\r" not in text
    back = benchmarks.read_csv(tmp_path / "s.csv")
    assert back[0] == Score(Key("Toy", "b+n", "007"), {"psnr_db": 20.123457, "psnr_y_db": 21.5, "ssim": 0.75})
    assert back[1].values["psnr_db"] == pytest.approx(1 / 3, abs=1e-6)


def test_csv_has_a_column_of_shifted_psnr_where_there_is_one_and_holes_for_what_was_not_computed(
    tmp_path: Path,
) -> None:
    scores = [
        Score(Key("T", "clean", "a"), {"psnr_db": math.inf, "psnr_y_db": math.nan, "ssim": 1.0}),
        Score(Key("R", "real", "b"), {"psnr_db": 17.5, "psnr_y_db": 1.0, "ssim": 1.0, "psnr_shift_db": 19.25}),
    ]
    benchmarks.write_csv(scores, ["psnr_db", "psnr_y_db", "ssim", "lpips"], tmp_path / "s.csv")
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0].endswith(",lpips,psnr_shift_db")
    assert lines[1:] == ["T,clean,a,inf,,1.000000,,", "R,real,b,17.500000,1.000000,1.000000,,19.250000"]
    without = scores[0]._replace(values={"psnr_db": math.inf, "ssim": 1.0})
    assert benchmarks.read_csv(tmp_path / "s.csv") == [without, scores[1]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("benchmark,case,psnr_db\nT,clean,20.0\n", "has no column image"),
        ('benchmark,case,image,psnr_db\nT,clean,a,"20,0"\n', "has text where numbers belong"),
        ("benchmark,case,image,psnr_db\n" + 2 * "T,clean,a,20.0\n", r"has a row twice \(T, clean, a\)"),
    ],
)
def test_what_is_no_table_of_scores_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError, match=rf"s\.csv {says}"):
        benchmarks.read_csv(tmp_path / "s.csv")


def test_means_per_benchmark_and_case() -> None:
    scores = [Score(Key("A", "c", str(i)), {"psnr_db": value, "ssim": 0}) for i, value in enumerate((1.0, 3.0))]
    scores.append(Score(Key("A", "c", "unscored"), {}))
    assert benchmarks.means([*scores, Score(Key("B", "c", "z"), {"psnr_db": 7.0})]) == {
        "psnr_db/A/c": 2.0,
        "psnr_db/B/c": 7.0,
        "psnr_db": 4.5,  # both benchmarks alike
    }


# peak memory in MiB of scoring a black image with a RRDB of the paper's width, as a process of its own
PEAK = """
import sys
from functools import partial
from pathlib import Path
import numpy as np, torch
from blindsr.evaluation import benchmarks
from blindsr.config import registry
from blindsr.data import images
from blindsr.model import inference
from blindsr.model import architecture
from blindsr.data.pairs import Pair
from blindsr.plugins.metrics import lpips
from blindsr.evaluation.scoring import Measure
blocks, height, width = map(int, sys.argv[1:])
images.write_png("hr.png", np.zeros((height, width, 3), np.uint8))
images.write_png("lr.png", np.zeros((height // 4, width // 4, 3), np.uint8))
network = architecture.build_backbone("rrdb", {"num_blocks": blocks, "num_features": 64, "growth": 32}, 4)
upscale = partial(inference.upscale_rgb, network, scale=4, tile="auto", overlap=32)
pair = Pair("Toy", "clean", "a", Path("hr.png"), Path("lr.png"))
metrics = [registry.build("metric", name) for name in ("psnr_db", "psnr_y_db", "ssim")]
metrics.append(lpips.record(lpips.Lpips()))
(result,) = benchmarks.evaluate([pair], upscale, Measure(metrics), 4)
assert len(result.scores) == 1 and not result.errors
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) / 1024)  # ru_maxrss begins with that of the process that forked
"""


def peak(folder: Path, *arguments: int) -> float:
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    return float(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_a_large_image_is_scored_in_little_memory_with_the_tiles_of_rrdb(tmp_path: Path) -> None:
    """All metrics, LPIPS among them. One residual block instead of 23, which would take ten minutes: activations are
    largest in the upsampling, after the blocks, so that deeper networks add their weights alone (seen below). Six
    megapixels: 2431 MiB were seen, and 2.6 GiB for twice as many, which takes two minutes."""
    deep, shallow = peak(tmp_path, 23, 512, 512), peak(tmp_path, 1, 512, 512)
    assert 30 < deep - shallow < 150  # 60 MiB of weights
    assert peak(tmp_path, 1, 2000, 3000) + deep - shallow < 2800
