"""The images of the test suite on disk, as jobs of the scoring engine, and its rows as CSV."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from blindsr.config.params import BICUBIC, RANKED, Params
from blindsr.data import images, indices
from blindsr.data.images import RGB
from blindsr.data.indices import Index, IndexedImage
from blindsr.evaluation import scoring
from blindsr.evaluation.scoring import Job, Key, Loaded, Measure, Result, Score
from blindsr.model import inference, networks, weight_files
from blindsr.model.inference import Tile
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError

REAL = "real"
"""The case of LR images that a camera, or an unknown degradation, made: their HR need not be aligned."""
_PREFIX = 4  # characters that the names of an LR image of NTIRE 2018 and of its HR share


class Pair(NamedTuple):
    """One degraded image of the suite, and where its original lies."""

    benchmark: str
    case: str
    image: str
    hr: Path
    lr: Path

    @property
    def key(self) -> Key:
        """What its row of scores is of."""
        return Key(*self[:3])


def all_pairs(params: Params) -> list[Pair]:
    """Every LR image of every benchmark at hand, in the order of the settings: all cases, or the real LR.

    Raises UserError for a set of real LR images that does not fit its HR set.
    """
    pairs = []
    for name in params.data.benchmarks:
        index, folder = indices.read_index(name), indices.set_folder(name, params.data.roots)
        if index.hr:
            hr, hr_folder = indices.read_index(index.hr), indices.set_folder(index.hr, params.data.roots)
            if not hr.missing:
                pairs += real_pairs(index, hr, folder, hr_folder)
            continue
        for case in params.suite.cases:
            for image in index.images:
                lr = paths.LR / name / case / f"{image.name}.png"
                pairs.append(Pair(name, case, image.name, folder / image.file, lr))
    return pairs


def real_pairs(lr: Index, hr: Index, lr_folder: Path, hr_folder: Path) -> list[Pair]:
    """The LR images of a track with unknown degradation, each with the HR that shares its first four characters.

    So are those of NTIRE 2018 named: 0801x4m.png (mild), 0801x4d.png (difficult), 0801x4w1.png … (wild, several of
    one HR) of 0801.png. The order is that of `lr`. Raises UserError for an LR image with no HR, or with several,
    and for an HR image without any LR image.
    """
    originals: dict[str, IndexedImage] = {}
    for image in hr.images:
        other = originals.setdefault(image.name[:_PREFIX], image)
        if other is not image:
            raise UserError(
                f"{hr.name}: {other.file} and {image.file} begin with the same {_PREFIX} characters, by which "
                f"{lr.name} is paired with it: rename one"
            )
    pairs = []
    for image in lr.images:
        original = originals.get(image.name[:_PREFIX])
        if original is None:
            raise UserError(f"{lr.name}: {image.file} has no HR image {image.name[:_PREFIX]}* in {hr.name}")
        pairs.append(Pair(lr.name, REAL, image.name, hr_folder / original.file, lr_folder / image.file))
    alone = originals.keys() - {image.name[:_PREFIX] for image in lr.images} if pairs else set()
    if alone:
        raise UserError(f"{lr.name} has no LR image {min(alone)}*, for {len(alone)} of {hr.name}: complete it")
    return pairs


def stamps(pairs: Sequence[Pair]) -> dict[Key, str]:
    """Hash of the bytes of both images of each pair, which its scores are of; a pair without an image has none."""
    digests: dict[Path, str] = {}
    found = {}
    for pair in pairs:
        with contextlib.suppress(OSError):  # said where it is read to be scored
            for path in (pair.hr, pair.lr):
                if path not in digests:
                    digests[path] = files.sha256(path)
            found[pair.key] = f"{digests[pair.hr][:16]}{digests[pair.lr][:16]}"
    return found


def network_of(params: Params, cell: str) -> tuple[nn.Module, WeightsInfo | None]:
    """The network of models/<cell>.safetensors with what the file says of it; the weightless one of "bicubic".

    Raises UserError for missing or damaged weights.
    """
    if cell == BICUBIC:
        return networks.build_backbone(BICUBIC, {}, params.scale), None
    return weight_files.load(paths.MODELS / f"{cell}.safetensors")


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
        Job([pair.key for pair in group], partial(_load, group, scale), unaligned=group[0].case == REAL)
        for group in groups(pairs)
    ]
    return scoring.score(jobs, upscale, measure)


def groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The pairs of one HR image together, in the order of first appearance."""
    found: dict[tuple[str, Path], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((pair.benchmark, pair.hr), []).append(pair)
    return list(found.values())


def _load(group: Sequence[Pair], scale: int) -> Loaded:
    hr = images.mod_crop(images.read_hr(group[0].hr), scale)
    lrs: dict[Key, RGB] = {}
    errors = []
    for pair in group:
        try:
            lr = images.read_rgb(pair.lr)
            if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
                sizes = f"{lr.shape[1]}×{lr.shape[0]} for {hr.shape[1]}×{hr.shape[0]}"
                mend = "fetch or replace the pair" if pair.case == REAL else "run `dvc repro --force degrade`"
                raise UserError(f"{pair.lr} does not fit {pair.hr} at x{scale} ({sizes}): {mend}")
            lrs[pair.key] = np.ascontiguousarray(lr)
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
    """Mean PSNR per benchmark and case, as "psnr_db/<benchmark>/<case>", for the tracking server."""
    groups: dict[str, list[float]] = {}
    for score in scores:
        if RANKED in score.values:
            groups.setdefault(f"{RANKED}/{score.key.benchmark}/{score.key.case}", []).append(score.values[RANKED])
    return {name: sum(values) / len(values) for name, values in groups.items()}
