"""analyse: what scores do not show of one run, as files in reports/analysis/<run>/.

frequency.csv and channel_entropy.csv look at whole images; separation.csv, plane.csv and interaction.csv at crops;
cost.csv at the settings alone.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blindsr.analysis import degradation_representation, interaction
from blindsr.analysis.channel_entropy import channel_entropy
from blindsr.analysis.frequency import radial_mape
from blindsr.analysis.training_cost import Cost, training_cost
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.config.schema import AnalyseParams
from blindsr.data import images, pairs
from blindsr.data.pairs import REAL, Pair
from blindsr.model import architecture, taps, weight_files
from blindsr.model.network import Network, build_regularizer
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import devices, files, packages, paths, recorded, temporary, tracking
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

Row = list[Any]
_BATCH = 64  # crops a forward pass
_IMAGE = ["benchmark", "case", "image"]


class Content(NamedTuple):
    """One crop of one image: the same window under every case."""

    benchmark: str
    image: str
    top: int
    left: int
    lr: dict[str, Pair]


def run(params: Params, trained: Run) -> None:
    """Analyse models/<run>.safetensors: means over the images of every benchmark and case.

    Args:
        params: Settings of the project.
        trained: A run with weights.

    Raises:
        UserError: for a control, and without scikit-learn or the weights, before anything is computed; for fewer than
            two cases or crops; and as `choose_contents` does.
    """
    packages.require("sklearn", "`blindsr analyse`", "scikit-learn")
    name = trained.name
    if trained.is_control:
        raise UserError(f"{name} has no features to analyse: name a trained run, such as srresnet-rff-0")
    network, info = weight_files.load(paths.MODELS / f"{name}.safetensors", trust=True)
    network.to(devices.choose(params.runtime.device))
    suite = [pair for pair in pairs.all_pairs(params) if pair.case != REAL]
    folder = paths.ANALYSIS / name
    devices.keep_freed_memory()
    temporary.sweep(paths.ANALYSIS)
    with devices.threads(params.evaluate.threads):
        _whole_images(network, suite, params, folder, name)
        contents = choose_contents(suite, params.analyse)
        if contents:
            _representation(network, contents, params, folder)
            _interaction(network, contents, params, folder)
    cost = _cost(params, info, folder)
    recorded.note(folder)
    with tracking.open_run(name, info.run, {"profile": params.profile}) as tracked:
        tracked.summary(cost.totals(info.iterations))


def _whole_images(network: nn.Module, suite: list[Pair], params: Params, folder: Path, name: str) -> None:
    """Spectrum error (Fig. 2) and channel entropy (Fig. 3) of the first images of each benchmark under each case."""
    settings = params.analyse
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in suite:
        groups.setdefault((pair.benchmark, pair.case), []).append(pair)
    frequency: list[Row] = []
    entropy: list[Row] = []
    total = sum(len(group[: settings.images]) for group in groups.values())
    with Bar(f"analyse {name}", total) as bar:
        for (benchmark, case), group in groups.items():
            for pair in group[: settings.images]:  # whole feature maps of many large images would take hours
                features, sr = _forward(network, pair)
                hr = images.mod_crop(pair.read_hr(), params.scale)
                for band, error in enumerate(radial_mape(sr, hr, bands=settings.frequency_bands)):
                    text = "" if np.isnan(error) else f"{error:.6f}"
                    frequency.append([benchmark, case, pair.image, band, text])
                entropy.append([benchmark, case, pair.image, f"{channel_entropy(features):.6f}"])
                bar.advance()
    files.write_csv(folder / "frequency.csv", [*_IMAGE, "band", "mape_percent"], frequency)
    files.write_csv(folder / "channel_entropy.csv", [*_IMAGE, "entropy_nats"], entropy)


@torch.inference_mode()
def _forward(network: nn.Module, pair: Pair) -> tuple[Tensor, images.RGB]:
    lr = images.to_float(pair.read_lr())[None].to(next(network.parameters()).device)
    sr, seen = taps.read(network, lr)
    return seen["last"][0].cpu(), images.to_uint8(sr[0].cpu())


def choose_contents(suite: list[Pair], settings: AnalyseParams) -> list[Content]:
    """Choose crops, spread over the first images of all benchmarks and over each image.

    Images take turns, so the first crops are of different images.

    Args:
        suite: LR images of all benchmarks under all cases.
        settings: How many `contents`, of how many `images` of each benchmark, and the side `crop`, in LR px.

    Returns:
        `contents` crops, or none without images.

    Raises:
        UserError: for an image smaller than a crop.
    """
    files_of: dict[tuple[str, str], dict[str, Pair]] = {}
    for pair in suite:
        files_of.setdefault((pair.benchmark, pair.image), {})[pair.case] = pair
    taken: list[tuple[tuple[str, str], dict[str, Pair]]] = []
    for benchmark in dict.fromkeys(pair.benchmark for pair in suite):
        taken += [item for item in files_of.items() if item[0][0] == benchmark][: settings.images]
    each = -(-settings.contents // len(taken)) if taken else 0
    side = int(np.ceil(np.sqrt(each)))
    crops: list[list[Content]] = [[] for _ in range(each)]
    for (benchmark, image), lr in taken:
        height, width = next(iter(lr.values())).read_lr().shape[:2]
        if min(height, width) < settings.crop:
            raise UserError(
                f"{benchmark}: the LR of {image} has {width}×{height} px, less than analyse.crop {settings.crop}: "
                "lower analyse.crop"
            )
        steps = (np.arange(side) + 0.5) / side
        for number in range(each):
            top, left = (int((size - settings.crop) * steps[i]) for size, i in
                         ((height, number // side), (width, number % side)))  # fmt: skip
            crops[number].append(Content(benchmark, image, top, left, lr))
    return [content for turn in crops for content in turn][: settings.contents]


def _crop(content: Content, case: str, size: int) -> Tensor:
    """One window of one LR image, (3, size, size) in [0, 1]."""
    rows, columns = slice(content.top, content.top + size), slice(content.left, content.left + size)
    return images.to_float(np.ascontiguousarray(content.lr[case].read_lr()[rows, columns]))


def _representation(network: nn.Module, contents: list[Content], params: Params, folder: Path) -> None:
    """Deep features of every crop under every case: how well they tell cases and contents apart (Fig. 8).

    The t-SNE plane is for the eye alone: rounding that differs between CPUs changes it, so no number is made of it.
    """
    cases, settings = list(params.suite.cases), params.analyse
    if len(cases) < 2 or len(contents) < 2:
        raise UserError("the analysis of representations needs 2 test cases and 2 crops or more: raise "
                        "analyse.contents, or name more cases in suite.cases")  # fmt: skip
    crops = torch.stack([_crop(content, case, settings.crop) for case in cases for content in contents])
    rows: list[Row] = []
    for layer in _layers(network):
        deep = partial(_features, network, layer)
        features = np.concatenate([batch.flatten(1).numpy() for batch in _in_batches(deep, network, crops)])
        components = degradation_representation.principal_components(features.reshape(len(cases), len(contents), -1))
        for label in degradation_representation.LABELS:
            found = degradation_representation.separation(components, label)
            rows.append([layer, label, *(f"{value:.6g}" for value in found)])
    files.write_csv(folder / "separation.csv", ["layer", "label", "chi", "low", "high"], rows)
    plane = degradation_representation.plane(components, settings.perplexity)  # of the last layer, as a picture
    points_of = [
        [case, content.benchmark, content.image, content.top, content.left, *(f"{value:.4f}" for value in place)]
        for case, places in zip(cases, plane, strict=True)
        for content, place in zip(contents, places, strict=True)
    ]
    files.write_csv(folder / "plane.csv", ["case", "benchmark", "image", "top", "left", "x", "y"], points_of)


def _interaction(network: nn.Module, contents: list[Content], params: Params, folder: Path) -> None:
    """Interaction of neighbours by order, and of the highest one under Dropout of the other patches (Lemma 3.1)."""
    settings, case = params.analyse.interaction, next(iter(params.suite.cases))
    players = settings.grid**2
    orders = sorted({round(share * (players - 2)) for share in (0, 0.25, 0.5, 0.75, 1)})
    generator = np.random.default_rng(0)  # the same pairs and contexts for every run
    neighbours = interaction.neighbours(settings.grid)
    rows: list[Row] = []
    for content in contents[: settings.crops]:
        crop = _crop(content, case, params.analyse.crop)
        game, energy = _game(network, crop, settings.grid), _added(network, crop, params.scale)
        chosen = generator.choice(len(neighbours), min(settings.pairs, len(neighbours)), replace=False)
        for pair in (neighbours[number] for number in sorted(chosen)):
            for order in orders:
                for rate in (0.0, *(settings.dropout_rates if order == orders[-1] else [])):
                    drawn = interaction.draw_contexts(players, pair, order, rate, settings.contexts, generator)
                    strength = interaction.squared_strength(
                        interaction.effects(game, pair, drawn.present), drawn.complete
                    )
                    which = [content.benchmark, content.image, content.top, content.left, *pair]
                    rows.append([*which, order, rate, f"{strength:.6g}", f"{energy:.6g}"])
    header = ["benchmark", "image", "top", "left", "i", "j", "order", "rate", "squared_strength", "added_energy"]
    files.write_csv(folder / "interaction.csv", header, rows)


def _added(network: nn.Module, crop: Tensor, scale: int) -> float:
    """Mean square, in squared levels, of what the network adds to the bicubic upsampling of a crop."""
    levels = (255 * crop).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    base = torch.from_numpy(images.bicubic_upscale(levels, scale)).permute(2, 0, 1)
    sr = 255 * next(iter(_in_batches(network, network, crop[None])))[0]
    return float((sr.double() - base).square().mean())


def _game(network: nn.Module, crop: Tensor, grid: int) -> interaction.Game:
    """The SR crop in levels of 0…255 when some patches show the image and all others its mean colour."""
    side = crop.shape[1] // grid
    mean = crop.mean((1, 2), keepdim=True)

    def play(present: NDArray[np.bool_]) -> NDArray[np.float64]:
        there = torch.from_numpy(present.reshape(-1, 1, grid, grid))
        there = there.repeat_interleave(side, 2).repeat_interleave(side, 3)
        inputs = torch.where(there, crop, mean)
        return np.concatenate([255 * sr.flatten(1).double().numpy() for sr in _in_batches(network, network, inputs)])

    return play


def _layers(network: nn.Module) -> list[str]:
    """The first block, the middle one and the last convolution, of which the inputs are looked at."""
    count = len(getattr(network, "blocks", ()))
    return [*dict.fromkeys(f"blocks.{number}" for number in (0, count // 2) if number < count), "last"]


def _features(network: nn.Module, layer: str, lr: Tensor) -> Tensor:
    return taps.read(network, lr, (layer,))[1][layer]


@torch.inference_mode()
def _in_batches(function: Any, network: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    device = next(network.parameters()).device
    for batch in inputs.split(_BATCH):
        yield function(batch.to(device)).float().cpu()


def _cost(params: Params, info: WeightsInfo, folder: Path) -> Cost:
    """What an iteration of this run's training costs."""
    hyper = params.reg.settings[info.regularizer].hyper_for(info.backbone)
    with torch.device("meta"):
        network = Network(
            architecture.build_backbone(info.backbone, info.hyper, info.scale),
            build_regularizer(info.regularizer, hyper),
        )
    cost = training_cost(network, params.train.batch, params.train.crop, info.scale)
    files.write_csv(folder / "cost.csv", [*cost._fields, "iterations"], [[*cost, info.iterations]])
    return cost
