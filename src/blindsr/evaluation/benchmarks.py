"""Pairs of images on disk as jobs of the scoring engine, and its rows as CSV."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from blindsr.config.consistency import RANKED
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.data import images
from blindsr.data.images import RGB
from blindsr.data.pairs import REAL, Pair, groups
from blindsr.evaluation import scoring
from blindsr.evaluation.scoring import Job, Key, Loaded, Measure, Result, Score
from blindsr.model import architecture, inference, weight_files
from blindsr.model.inference import Tile
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import files, paths, recorded
from blindsr.runtime.errors import UserError

TRACKED = (RANKED, "detail_cosine", "detail_amplitude", "psnr_best_db")
"""Metrics whose means the tracking server gets: what a network is compared by, and what that is made of."""


def key_of(pair: Pair) -> Key:
    """What the row of scores of a pair is of.

    Args:
        pair: LR image with its HR image.

    Returns:
        Its benchmark, case and image.
    """
    return Key(pair.benchmark, pair.case, pair.image)


def stamps(pairs: Sequence[Pair]) -> dict[Key, str]:
    """Hash the bytes of both images of each pair, which its scores are of.

    Args:
        pairs: In any order.

    Returns:
        Key -> 32 hexadecimal digits, 16 each of the SHA-256 of HR and LR. A pair without an image has none.
    """
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
    """Load the network of models/<run>.safetensors, or build that of a control.

    Args:
        params: Settings of the project.
        run: A trained run or a control.

    Returns:
        The network on the CPU, and what its file says of it (None for a control).

    Raises:
        UserError: for weights that are missing or damaged, or of another scale than that of the settings.
    """
    if run.is_control:
        return architecture.build_backbone(run.backbone, {}, params.scale), None
    path = paths.MODELS / f"{run}.safetensors"
    network, info = weight_files.load(path, trust=True)
    if info.scale != params.scale:
        raise UserError(f"{path} upscales by {info.scale}, and scale is {params.scale}: run `dvc repro`")
    return network, info


def upscale(network: nn.Module, lr: RGB, *, scale: int, tile: Tile, overlap: int) -> RGB:
    """Super-resolve one image with a backbone, whole or in tiles.

    Args:
        network: As for `inference.upscale`.
        lr: RGB uint8 (h, w, 3).
        scale: Upscaling factor.
        tile: As for `inference.upscale`, in LR px.
        overlap: Likewise.

    Returns:
        RGB uint8 (h · scale, w · scale, 3).

    Raises:
        UserError: as `inference.upscale_rgb`.
        ValueError: likewise.
    """
    return next(inference.upscale_rgb(network, [lr], scale, tile, overlap))


def evaluate(
    pairs: Sequence[Pair], upscale: Callable[[Sequence[RGB]], Iterator[RGB]], measure: Measure, scale: int
) -> Iterator[Result]:
    """Score every pair, all LR images of one HR image together.

    Args:
        pairs: In any order; those of one HR image are all aligned with it, or none is.
        upscale: Maps LR images to their SR images, in order, all RGB uint8.
        measure: What is computed of an SR image.
        scale: The HR image is mod-cropped to it, and nothing else.

    Returns:
        A result for each HR image, in the order of `pairs.groups`. A missing or damaged image, or an LR image that
        does not fit its HR image, is an error in a result.
    """
    jobs = [
        Job([key_of(pair) for pair in group], partial(_load, group, scale), unaligned=not group[0].aligned)
        for group in groups(pairs)
    ]
    return scoring.score(jobs, upscale, measure)


def _load(group: Sequence[Pair], scale: int) -> Loaded:
    if group[0].unpaired:
        return Loaded(None, {key_of(pair): pair.read_lr() for pair in group}, [])
    hr = images.mod_crop(group[0].read_hr(), scale)
    lrs: dict[Key, RGB] = {}
    errors = []
    for pair in group:
        try:
            lr = pair.read_lr()
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

    Args:
        scores: Scores, in the order of the rows.
        metrics: First columns of scores; each other metric that any score has, such as those of unaligned images,
            follows.
        path: Path of the file.

    Raises:
        UserError: where the file cannot be written.
    """
    columns = list(dict.fromkeys([*metrics, *(name for score in scores for name in score.values)]))
    rows = [[*score.key, *(_cell(score.values.get(name, math.nan)) for name in columns)] for score in scores]
    files.write_csv(path, [*Key._fields, *columns], rows)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def read_csv(path: Path) -> list[Score]:
    """Read what `write_csv` wrote.

    Args:
        path: Path of the file.

    Returns:
        Scores in the order of the rows; empty cells are left out.

    Raises:
        FileNotFoundError: if there is none.
        UserError: that names the file, where it is damaged, no table of scores, or has a row twice; as
            `recorded.require` does.
    """
    recorded.require(path)
    scores: dict[Key, Score] = {}
    for row in files.read_csv(path):
        try:
            key = Key(*(row.pop(field) for field in Key._fields))
            values = {name: float(cell) for name, cell in row.items() if cell}
        except KeyError as error:
            raise UserError(f"{path} has no column {error.args[0]}: it is not a table of scores") from None
        except ValueError as error:
            raise UserError(f"{path} has text where numbers belong ({error}): make it again") from None
        if key in scores:
            raise UserError(f"{path} has a row twice ({', '.join(key)}): make it again")
        scores[key] = Score(key, values)
    return list(scores.values())


def means(scores: Sequence[Score]) -> dict[str, float]:
    """Means per benchmark and case, for the tracking server.

    Args:
        scores: Scores of one run. Images of which a metric says nothing are left out of its mean.

    Returns:
        "psnr_db/<benchmark>/<case>" -> mean, and so on for those of `TRACKED` that were scored; and "psnr_db" -> mean
        of these means, by which runs sort.
    """
    groups: dict[str, list[float]] = {}
    for metric in TRACKED:
        for score in scores:
            value = score.values.get(metric, math.nan)
            if math.isfinite(value):  # an image that is restored exactly has an infinite PSNR, and so would the mean
                groups.setdefault(f"{metric}/{score.key.benchmark}/{score.key.case}", []).append(value)
    found = {name: sum(values) / len(values) for name, values in groups.items()}
    for metric in TRACKED:
        own = [value for name, value in found.items() if name.startswith(f"{metric}/")]
        if own:
            found[metric] = sum(own) / len(own)
    return found
