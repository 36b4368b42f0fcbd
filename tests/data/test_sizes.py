"""Images too small for a setting of the pipeline's end are known before its beginning."""

from pathlib import Path
from typing import Any

import pytest

import committed
from blindsr.config import params
from blindsr.config.params import Params
from blindsr.data import sizes
from blindsr.data.indices import Index, IndexedImage
from blindsr.data.pairing import FoldersRule
from blindsr.runtime.errors import UserError


def settings(evaluate: dict[str, Any] | None = None, crop: int = 16, **data: Any) -> Params:
    composed = committed.settings()
    composed["data"] |= {"benchmarks": ["own_test"]} | data
    composed["evaluate"] |= evaluate or {}
    composed["analyse"]["crop"] = crop
    return params.parse(composed)


def write(folder: Path, name: str, *images: tuple[str, int, int], **more: Any) -> None:
    found = [IndexedImage(name=file[:-4].replace("/", "-"), file=file, width=width, height=height, sha256="0" * 64)
             for file, width, height in images]  # fmt: skip
    Index(name=name, images=found, **more).write(folder)


def test_images_that_are_large_enough_pass_and_sets_that_are_not_here_too(tmp_path: Path) -> None:
    sizes.require_large_enough(settings(), tmp_path)
    write(tmp_path, "own_test", ("a.png", 64, 64), ("b.png", 67, 200))
    sizes.require_large_enough(settings(), tmp_path)
    write(tmp_path, "own_test", missing="ask")
    sizes.require_large_enough(settings(), tmp_path)


@pytest.mark.parametrize(
    ("evaluate", "crop", "says"),
    [
        (
            {"crop_border": 27},
            16,
            "own_test: a.png is 67×90 px, and evaluate.crop_border and evaluate.metrics want 65 px",
        ),
        ({"crop_border": 26}, 20, "own_test: a.png is 67×90 px, and analyse.crop wants 80 px a side: lower them"),
        ({"crop_border": 32, "metrics": ["psnr_db"]}, 16, "want 65 px a side"),
    ],
)
def test_an_image_that_is_too_small_is_named_with_the_setting(
    tmp_path: Path, evaluate: dict[str, Any], crop: int, says: str
) -> None:
    """Of 67 px 64 are scored, in whole LR pixels; SSIM wants 11 beside the border."""
    write(tmp_path, "own_test", ("a.png", 67, 90))
    with pytest.raises(UserError) as caught:
        sizes.require_large_enough(settings(evaluate, crop), tmp_path)
    assert says in str(caught.value)


def test_only_the_images_that_are_analysed_hold_a_crop(tmp_path: Path) -> None:
    images = [(f"{number:02}.png", 100, 100) for number in range(10)]
    write(tmp_path, "own_test", *images, ("small.png", 40, 40))  # analyse.images is 10
    sizes.require_large_enough(settings(crop=20), tmp_path)


def test_lpips_wants_what_alexnet_does_where_its_weights_are_here(tmp_path: Path) -> None:
    write(tmp_path, "own_test", ("a.png", 30, 30))
    sizes.require_large_enough(settings(crop=4), tmp_path)
    write(tmp_path, "lpips_alexnet", ("a.pth", 0, 0))
    with pytest.raises(UserError, match="want 31 px a side"):
        sizes.require_large_enough(settings(crop=4), tmp_path)


def test_real_images_that_are_not_aligned_leave_room_for_the_search(tmp_path: Path) -> None:
    pair = ("HR/a.png", 88, 120), ("LR/a.png", 22, 30)
    rule = FoldersRule(rule="folders", hr="HR", lr="LR")
    write(tmp_path, "own_pairs", *pair, pairing=rule, aligned=False)
    with pytest.raises(UserError, match=r"HR/a\.png is 88×120 px, and .*max_shift want 89 px"):
        sizes.require_large_enough(settings(benchmarks=["own_pairs"]), tmp_path)
    sizes.require_large_enough(settings({"max_shift": 39}, benchmarks=["own_pairs"]), tmp_path)
    write(tmp_path, "own_pairs", *pair, pairing=rule, aligned=True)
    sizes.require_large_enough(settings(benchmarks=["own_pairs"]), tmp_path)
