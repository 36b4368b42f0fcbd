"""analyse: what scores do not show of one cell: reports/analysis/<cell>/{frequency,channel_entropy}.csv."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blindsr import devices, evaluation, files, images, networks, paths
from blindsr.analysis.channel_entropy import channel_entropy
from blindsr.analysis.frequency import radial_mape
from blindsr.backbones._blocks import Backbone
from blindsr.evaluation import Pair
from blindsr.params import Params
from blindsr.progress import Bar
from blindsr.settings import AnalyseParams


def run(params: Params, cell: str) -> None:
    """Analyse models/<cell>.safetensors: means over the images of every benchmark and case."""
    network, _ = networks.load(paths.MODELS / f"{cell}.safetensors")
    device = devices.choose(params.runtime.device)
    network.to(device)
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in evaluation.all_pairs(params):
        groups.setdefault((pair.benchmark, pair.case), []).append(pair)
    frequency: list[list[Any]] = []
    entropy: list[list[Any]] = []
    total = sum(len(_chosen(group, params.analyse)) for group in groups.values())
    with devices.threads(params.evaluate.threads), Bar(f"analyse {cell}", total) as bar:
        for (benchmark, case), group in groups.items():
            errors, entropies = [], []
            for pair in _chosen(group, params.analyse):
                features, sr = _forward(network, pair, device)
                hr = images.mod_crop(images.read_rgb(pair.hr), params.scale)
                errors.append(radial_mape(sr, hr, bands=params.analyse.frequency_bands))
                entropies.append(channel_entropy(features, bands=params.analyse.entropy_bands))
                bar.advance()
            for band, error in enumerate(np.nanmean(errors, axis=0)):
                frequency.append([benchmark, case, band, f"{error:.6f}"])
            entropy.append([benchmark, case, f"{np.mean(entropies):.6f}"])
    folder = paths.ANALYSIS / cell
    _write(folder / "frequency.csv", ["benchmark", "case", "band", "mape_percent"], frequency)
    _write(folder / "channel_entropy.csv", ["benchmark", "case", "entropy_nats"], entropy)


def _chosen(group: list[Pair], params: AnalyseParams) -> list[Pair]:
    """The first images of a benchmark: whole feature maps of many large images would take hours."""
    return group[: params.images]


@torch.inference_mode()
def _forward(network: Backbone, pair: Pair, device: torch.device) -> tuple[torch.Tensor, images.RGB]:
    lr = images.to_float(images.read_rgb(pair.lr))[None].to(device)
    features = network.features(lr)
    return features[0].cpu(), images.to_uint8(network.reconstruct(features, lr)[0].cpu())


def _write(path: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    files.write_atomic(path, text.getvalue())
