"""evaluate: one cell, or bicubic, on every benchmark and case: reports/scores/<cell>.csv."""

import logging
from functools import partial

from blindsr import devices, evaluation, networks, paths, tracking
from blindsr.datasets import indices
from blindsr.metrics.lpips import load_lpips
from blindsr.params import BICUBIC, Params
from blindsr.progress import Bar

_log = logging.getLogger(__name__)


def run(params: Params, cell: str) -> None:
    """Score models/<cell>.safetensors, or the weightless backbone if the cell is "bicubic"."""
    settings = params.evaluate
    if cell == BICUBIC:
        network, info = networks.build_backbone(BICUBIC, {}, params.scale), None
    else:
        network, info = networks.load(paths.MODELS / f"{cell}.safetensors")
    network.to(devices.choose(params.runtime.device))
    super_resolve = partial(
        evaluation.upscale, network, scale=params.scale, tile=settings.tile, overlap=settings.overlap
    )
    pairs = evaluation.suite_pairs(params)
    scores = []
    with devices.threads(settings.threads), Bar(cell, len(pairs)) as bar:
        for score in evaluation.evaluate(
            pairs, super_resolve, scale=params.scale, crop_border=settings.crop_border, lpips=_lpips(params)
        ):
            scores.append(score)
            bar.advance()
    evaluation.write_csv(scores, paths.SCORES / f"{cell}.csv")
    key = info.run if info else f"{BICUBIC}-{params.profile}"
    with tracking.open_run(cell, key, {"profile": params.profile}) as tracked:
        tracked.summary(evaluation.means(scores))


def _lpips(params: Params) -> evaluation.Perceptual | None:
    """LPIPS with the trunk of the settings; None, with one warning, where there is none."""
    name = params.data.lpips_trunk
    index = indices.read_index(name) if name else None
    if index is None or index.missing:
        _log.warning(
            "no LPIPS trunk weights: the lpips column stays empty; to fill it, %s",
            index.missing if index else "name a set in data.lpips_trunk",
        )
        return None
    return load_lpips(indices.set_folder(index.name, params.data.roots) / index.images[0].file)
