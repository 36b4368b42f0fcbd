"""What a block of the settings cannot tell alone: whether blocks fit each other, and plug-ins take their settings.

All of it is known before the first stage begins: what a later run, or the end of the pipeline, would refuse after
hours is refused here. Each check raises ValueError or UserError with one line that names the key and a way out.
"""

import importlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from blindsr.config import registry
from blindsr.config.run import CONTROLS, UNTRAINED
from blindsr.config.schema import (
    AnalyseParams,
    BackboneParams,
    DataParams,
    DegradationParams,
    EvaluateParams,
    PatchParams,
    RegularizerParams,
    RuntimeParams,
    SuiteParams,
    TrainParams,
)
from blindsr.runtime.errors import UserError

RANKED = "psnr_db"
"""The metric that networks are compared by: no evaluation goes without it."""
_MOST_POINTS = 4000  # of an analysis of features, whose time grows with the cube of them
_MOST_PASSES = 200_000  # of a crop through a network, in an analysis of interaction


def check_sizes(scale: int, patches: PatchParams, train: TrainParams) -> None:
    """Crops and windows of whole LR pixels, which fit into a patch."""
    sizes = {"train.crop": train.crop, "train.window": train.window}
    wrong = [_multiple(name, size, scale) for name, size in sizes.items() if size % scale]
    if wrong:
        raise ValueError("; ".join(wrong))
    if train.crop > patches.size:
        raise ValueError(f"train.crop {train.crop} is larger than patches.size {patches.size}")


def check_data(data: DataParams) -> None:
    """No set is trained on and scored, unless that is said."""
    if data.train in data.benchmarks and not data.train_on_benchmarks:
        raise ValueError(
            f"data.train {data.train} is one of data.benchmarks, and scores of images that were trained on say "
            "nothing: name another set, or set data.train_on_benchmarks to true"
        )


def check_seeds(seeds: list[int], analysed: list[int]) -> None:
    """Only what is trained is analysed."""
    unknown = [str(seed) for seed in analysed if seed not in seeds]
    if unknown:
        raise ValueError(f"analysed_seeds {', '.join(unknown)} must be among seeds {seeds}")


def check_analyses(suite: SuiteParams, analyse: AnalyseParams) -> None:
    """There is something to tell apart, and an end to it."""
    cases, settings = len(suite.cases), analyse.interaction
    if not cases:
        raise ValueError("suite.cases is empty: name at least one test case")
    if cases * analyse.contents > _MOST_POINTS:
        raise ValueError(
            f"analyse.contents {analyse.contents} under {cases} cases are more points than an analysis can take: "
            f"choose {_MOST_POINTS // cases} or fewer"
        )
    neighbours = 2 * settings.grid * (settings.grid - 1)
    passes = settings.crops * min(settings.pairs, neighbours) * 4 * settings.contexts
    passes *= 5 + len(settings.dropout_rates)
    if passes > _MOST_PASSES:
        raise ValueError(
            f"analyse.interaction asks for {passes} passes through each network, and {_MOST_PASSES} are the most: "
            "lower crops, pairs or contexts"
        )


def check_degradation(block: DegradationParams, scale: int, train: TrainParams) -> None:
    """The degradation takes its settings, and a training window is large enough for it."""
    key = "degradation.settings"
    registry.require("degradation", block.name)
    _check_settings(key, "degradation", block.name, block.settings)
    least = _build(key, "degradation", block.name, block.settings).least_window(scale)
    if train.window < least:
        raise ValueError(
            f"train.window {train.window} is too small for degradation {block.name!r} with its degradation.settings: "
            f"choose {-(-least // scale) * scale} or more, or settings that shrink and blur less"
        )


def check_backbones(block: BackboneParams) -> None:
    """Every backbone is one, with settings; whether it can be built with them is for `preflight` to see."""
    _check_names("backbone", block.names, block.hyper)
    for name, hyper in block.hyper.items():
        _check_settings(f"backbone.hyper.{name}", "backbone", name, hyper)


def check_regularizers(reg: RegularizerParams, train: TrainParams, runtime: RuntimeParams) -> None:
    """Every regularizer takes its settings beside every backbone, and its views divide the batch."""
    _check_names("regularizer", reg.names, reg.settings)
    for name, block in reg.settings.items():
        key = f"reg.settings.{name}"
        for backbone, own in block.per_backbone.items():
            registry.require("backbone", backbone)
            _check_settings(f"{key}.per_backbone.{backbone}", "regularizer", name, own)
            _build(f"{key}.per_backbone.{backbone}", "regularizer", name, block.hyper_for(backbone))
        _check_settings(f"{key}.hyper", "regularizer", name, block.hyper)
        views = _build(f"{key}.hyper", "regularizer", name, block.hyper).views
        if block.gradient_share is not None and not (views == 2 and block.weight):
            raise ValueError(
                f"{key}.gradient_share needs a penalty of two views, and a weight above 0 to begin with: set it to "
                "null"
            )
        if name in reg.names:
            _check_batch(name, views, train, runtime)


def _check_batch(reg: str, views: int, train: TrainParams, runtime: RuntimeParams) -> None:
    if train.batch % views:
        raise ValueError(
            f"train.batch {train.batch} cannot hold {views} views of each patch, which regularizer {reg!r} needs: "
            f"set it to a multiple of {views}"
        )
    patches = train.batch // views
    if isinstance(runtime.devices, int) and patches % runtime.devices:
        raise ValueError(
            f"runtime.devices {runtime.devices} cannot share the {patches} patches of a batch of regularizer {reg!r} "
            f"equally: set it to a divisor of {patches}, or change train.batch"
        )


def check_losses(train: TrainParams, data: DataParams) -> None:
    """Every loss takes its settings, and has the weights that it is made of."""
    for name in train.losses:
        registry.require("loss", name)
    for name in dict.fromkeys([*train.losses, *train.loss_settings]):
        key, settings = f"train.loss_settings.{name}", train.loss_settings.get(name, {})
        _check_settings(key, "loss", name, settings)
        lacking = registry.takes("loss", name, "trunk")  # its weights are not here yet, and it says so
        _build(key, "loss", name, settings, lacking=lacking)
        if lacking and name in train.losses:
            _check_trunk(name, train, data)


def _check_trunk(loss: str, train: TrainParams, data: DataParams) -> None:
    if data.lpips_trunk is None:
        raise ValueError(
            f"train.losses names {loss}, which is made of AlexNet's weights: name a set of them in data.lpips_trunk"
        )
    least = importlib.import_module("blindsr.plugins.alexnet").SMALLEST
    if train.crop < least:
        raise ValueError(f"train.crop {train.crop} is too small for the loss {loss}: choose {least} px or more")


def check_metrics(evaluate: EvaluateParams) -> None:
    """Every metric is one, and what all tables compare by is among them."""
    for name in [*evaluate.metrics, *evaluate.unaligned_metrics]:
        registry.require("metric", name)
        if registry.family("metric", name):
            registry.build("metric", name)  # it alone knows which there are
    if RANKED not in evaluate.metrics:
        raise ValueError(f"evaluate.metrics lacks {RANKED}, which tables and figures compare networks by: add it")


def _multiple(name: str, size: int, scale: int) -> str:
    below = size // scale * scale
    nearest = f"{below} or {below + scale}" if below else f"{scale}"
    return f"{name} {size} must be a multiple of the scale {scale}: choose {nearest}"


def _check_names(kind: str, names: list[str], settings: Mapping[str, Any]) -> None:
    """Every name is a plug-in with settings."""
    for name in [*names, *settings]:
        registry.require(kind, name)
        if name in CONTROLS:
            raise UserError(f"{name} is always evaluated: take it out of backbone.names")
        if name in UNTRAINED:
            raise UserError(f"{name} has no weights to train: take it out of backbone.names")
        if name not in settings:
            raise UserError(f"{kind} {name!r} has no settings: add them to conf/ ({kind}: {name})")


def _check_settings(key: str, kind: str, name: str, settings: dict[str, Any]) -> None:
    """Every setting is an argument of the plug-in's `build`, and no number NaN or infinite: not all look for that."""
    allowed = registry.settings(kind, name)
    for setting in settings:
        if setting not in allowed and not registry.takes_any(kind, name):
            choices = ", ".join(allowed) or "none at all"
            raise UserError(f"{key}: {kind} {name!r} has no setting {setting!r}: choose from {choices}")
    for place, value in _numbers(key, settings):
        if not math.isfinite(value):
            raise ValueError(f"{place} must be a finite number, not {value}")


def _build(key: str, kind: str, name: str, settings: Mapping[str, Any], *, lacking: bool = False) -> Any:
    """What the plug-in's `build` makes; of one that is `lacking` its weights, only a wrong setting is an error."""
    try:
        return registry.build(kind, name, settings)
    except UserError as error:
        if lacking and not isinstance(error, registry.Refused):
            return None
        raise UserError(f"{key}: {error}") from None


def _numbers(key: str, settings: Any) -> Iterator[tuple[str, float]]:
    if isinstance(settings, float):
        yield key, settings
    items = settings.items() if isinstance(settings, Mapping) else ()
    for name, value in enumerate(settings) if isinstance(settings, list | tuple) else items:
        yield from _numbers(f"{key}.{name}", value)
