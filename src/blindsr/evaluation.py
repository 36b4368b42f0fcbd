"""A network on the test suite: one row of scores per benchmark, case and image."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import nn

from blindsr import files, images, inference, paths
from blindsr.datasets import indices
from blindsr.errors import UserError
from blindsr.images import RGB
from blindsr.metrics.psnr import psnr, psnr_y
from blindsr.metrics.ssim import ssim
from blindsr.params import Params

Perceptual = Callable[[RGB, RGB], float]


class Pair(NamedTuple):
    """One degraded image of the suite, and where its original lies."""

    benchmark: str
    case: str
    image: str
    hr: Path
    lr: Path


class Score(NamedTuple):
    """Scores of one image: PSNR in dB on RGB and on Y, SSIM in [0, 1], LPIPS (None without trunk weights)."""

    benchmark: str
    case: str
    image: str
    psnr_db: float
    psnr_y_db: float
    ssim: float
    lpips: float | None


def suite_pairs(params: Params) -> list[Pair]:
    """Every image of every benchmark at hand under every case, in the order of the settings."""
    pairs = []
    for name in params.data.benchmarks:
        folder = indices.set_folder(name, params.data.roots)
        index = indices.read_index(name)
        if index.hr:
            continue
        for case in params.suite.cases:
            for image in index.images:
                lr = paths.LR / name / case / f"{image.name}.png"
                pairs.append(Pair(name, case, image.name, folder / image.file, lr))
    return pairs


def upscale(network: nn.Module, lr: RGB, *, scale: int, tile: int | None, overlap: int) -> RGB:
    """Super-resolve a uint8 RGB image with a backbone, whole or in tiles of `tile` LR px."""
    return images.to_uint8(inference.upscale(network, images.to_float(lr), scale, tile=tile, overlap=overlap))


def evaluate(
    pairs: Sequence[Pair],
    super_resolve: Callable[[RGB], RGB],
    *,
    scale: int,
    crop_border: int,
    lpips: Perceptual | None,
) -> Iterator[Score]:
    """Scores of every pair in order; the HR is mod-cropped to `scale`, nothing else is done to it.

    Raises UserError if an image is missing or the sizes of HR and LR do not fit.
    """
    for pair in pairs:
        hr = images.mod_crop(images.read_rgb(pair.hr), scale)
        lr = images.read_rgb(pair.lr)
        if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
            raise UserError(f"{pair.lr} does not fit {pair.hr} at x{scale}: run `dvc repro --force degrade`")
        sr = super_resolve(lr)
        yield Score(
            pair.benchmark,
            pair.case,
            pair.image,
            psnr(sr, hr, crop_border),
            psnr_y(sr, hr, crop_border),
            ssim(sr, hr, crop_border),
            lpips(sr, hr) if lpips else None,
        )


def write_csv(scores: Sequence[Score], path: Path) -> None:
    """Write scores with six decimals: the same scores give the same bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Score._fields)
    for score in scores:
        writer.writerow([*score[:3], *("" if value is None else f"{value:.6f}" for value in score[3:])])
    files.write_atomic(path, text.getvalue())


def read_csv(path: Path) -> list[Score]:
    """Read what `write_csv` wrote."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Score(
            row["benchmark"],
            row["case"],
            row["image"],
            float(row["psnr_db"]),
            float(row["psnr_y_db"]),
            float(row["ssim"]),
            float(row["lpips"]) if row["lpips"] else None,
        )
        for row in rows
    ]


def means(scores: Sequence[Score]) -> dict[str, float]:
    """Mean PSNR per benchmark and case, as "psnr_db/<benchmark>/<case>", for the tracking server."""
    groups: dict[str, list[float]] = {}
    for score in scores:
        groups.setdefault(f"psnr_db/{score.benchmark}/{score.case}", []).append(score.psnr_db)
    return {key: sum(values) / len(values) for key, values in groups.items()}
