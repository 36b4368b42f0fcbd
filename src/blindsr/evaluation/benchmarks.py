"""Pairs of images on disk as jobs of the scoring engine, and its rows as CSV."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from blindsr.config.params import RANKED, Params
from blindsr.config.run import Run
from blindsr.data import images
from blindsr.data.images import RGB
from blindsr.data.pairs import REAL, Pair, groups
from blindsr.evaluation import scoring
from blindsr.evaluation.scoring import Job, Key, Loaded, Measure, Result, Score
from blindsr.model import architecture, inference, weight_files
from blindsr.model.inference import Tile
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError

TRACKED = (RANKED, "detail_cosine", "detail_amplitude", "psnr_best_db")
"""Metrics whose means the tracking server gets: what a network is compared by, and what that is made of."""


def key_of(pair: Pair) -> Key:
    """What the row of scores of a pair is of."""
    return Key(pair.benchmark, pair.case, pair.image)


def stamps(pairs: Sequence[Pair]) -> dict[Key, str]:
    """Hash of the bytes of both images of each pair, which its scores are of; a pair without an image has none."""
    digests: dict[Path, str] = {}
    found = {}
    for pair in pairs:
        with contextlib.suppress(OSError):  # said where it is read to be scored
            for path in (pair.hr, pair.lr):
                if path not in digests:
                    digests[path] = files.sha256(path)
            found[key_of(pair)] = f"{digests[pair.hr][:16]}{digests[pair.lr][:16]}"
    return found


def network_of(params: Params, run: Run) -> tuple[nn.Module, WeightsInfo | None]:
    """The network of models/<run>.safetensors with what the file says of it; that of a control.

    Raises UserError for weights that are missing or damaged, or of another scale than that of the settings.
    """
    if run.is_control:
        return architecture.build_backbone(run.backbone, {}, params.scale), None
    path = paths.MODELS / f"{run}.safetensors"
    network, info = weight_files.load(path)
    if info.scale != params.scale:
        raise UserError(f"{path} upscales by {info.scale}, and scale is {params.scale}: run `dvc repro`")
    return network, info


def upscale(network: nn.Module, lr: RGB, *, scale: int, tile: Tile, overlap: int) -> RGB:
    """Super-resolve a uint8 RGB image with a backbone, whole or in tiles of `tile` LR px."""
    return next(inference.upscale_rgb(network, [lr], scale, tile, overlap))


def evaluate(
    pairs: Sequence[Pair], upscale: Callable[[Sequence[RGB]], Iterator[RGB]], measure: Measure, scale: int
) -> Iterator[Result]:
    """Scores of every pair, all LR images of one HR together; the HR is mod-cropped to `scale`, nothing else.

    `upscale` maps LR images to their SR images. A missing or damaged image, or an LR that does not fit its HR, is
    an error in a result.
    """
    jobs = [
        Job([key_of(pair) for pair in group], partial(_load, group, scale), unaligned=not group[0].aligned)
        for group in groups(pairs)
    ]
    return scoring.score(jobs, upscale, measure)


def _load(group: Sequence[Pair], scale: int) -> Loaded:
    hr = images.mod_crop(images.read_hr(group[0].hr), scale)
    lrs: dict[Key, RGB] = {}
    errors = []
    for pair in group:
        try:
            lr = images.read_rgb(pair.lr)
            if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
                sizes = f"{lr.shape[1]}×{lr.shape[0]} for {hr.shape[1]}×{hr.shape[0]}"
                hint = "fetch or replace the pair" if pair.case == REAL else "run `dvc repro --force degrade`"
                raise UserError(f"{pair.lr} does not fit {pair.hr} at x{scale} ({sizes}): {hint}")
            lrs[key_of(pair)] = np.ascontiguousarray(lr)
        except UserError as error:
            errors.append(error)
    return Loaded(hr, lrs, errors)


def write_csv(scores: Sequence[Score], metrics: Sequence[str], path: Path) -> None:
    """Write scores with six decimals: the same scores give the same bytes. What was not computed is empty.

    A column for each of `metrics`, then for each other one that any score has, such as those of unaligned images.
    """
    columns = list(dict.fromkeys([*metrics, *(name for score in scores for name in score.values)]))
    rows = [[*score.key, *(_cell(score.values.get(name, math.nan)) for name in columns)] for score in scores]
    files.write_csv(path, [*Key._fields, *columns], rows)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def read_csv(path: Path) -> list[Score]:
    """Read what `write_csv` wrote."""
    scores = []
    for row in files.read_csv(path):
        key = Key(*(row.pop(field) for field in Key._fields))
        scores.append(Score(key, {name: float(cell) for name, cell in row.items() if cell}))
    return scores


def means(scores: Sequence[Score]) -> dict[str, float]:
    """Means per benchmark and case, as "psnr_db/<benchmark>/<case>", for the tracking server.

    Of `TRACKED`, as far as they were scored; images of which a metric says nothing are left out of its mean.
    """
    groups: dict[str, list[float]] = {}
    for metric in TRACKED:
        for score in scores:
            value = score.values.get(metric, math.nan)
            if not math.isnan(value):
                groups.setdefault(f"{metric}/{score.key.benchmark}/{score.key.case}", []).append(value)
    return {name: sum(values) / len(values) for name, values in groups.items()}
