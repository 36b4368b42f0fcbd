"""The paper's settings without Hydra, which bare machines lack; and a small edition of them."""

import functools
from pathlib import Path
from typing import Any

import yaml

from benchmarks.gpu_check.children import ROOT
from blindsr.config import registry
from blindsr.config.params import Params, parse
from blindsr.config.schema import TrainParams

REGULARIZERS = ("none", "dropout", "two_views", "rff")
"""Those that are trained side by side."""
_SMALL_HYPER: dict[str, dict[str, Any]] = {
    "srresnet": {"num_blocks": 1, "num_features": 8},
    "rrdb": {"num_blocks": 1, "num_features": 8, "growth": 4},
    "msrn": {"num_blocks": 1, "num_features": 8},
    "swinir": {"depths": [2], "num_heads": [2], "dim": 8, "window_size": 4},
}


def compose(conf: Path = ROOT / "conf") -> dict[str, Any]:
    """conf/ with profile=paper, as Hydra composes it: each group's file under its own name, the profile on top."""
    settings = _load(conf / "config.yaml")
    settings = _merged(settings, {"degradation": _load(conf / "degradation" / "second_order.yaml")})
    for group in ("backbone", "reg"):
        names = [entry for entry in _load(conf / group / "paper.yaml")["defaults"] if entry != "_self_"]
        for name in [*names, "paper"]:
            settings = _merged(settings, {group: _load(conf / group / f"{name}.yaml")})
        del settings[group]["defaults"]
    settings = _merged(settings, _load(conf / "profile" / "paper.yaml"))
    del settings["defaults"]
    settings["analysed_seeds"] = settings["seeds"][:1]  # these two are written as interpolations
    settings["evaluate"]["crop_border"] = settings["scale"]
    return settings


@functools.cache
def params(small: bool) -> Params:
    """The paper's settings; `small`: tiny networks on tiny crops, so that a CPU does a step in milliseconds."""
    paper = parse(compose(), "conf/")
    if not small:
        return paper
    train: dict[str, Any] = {"batch": 4, "crop": 32, "window": 80, "log_every": 1}
    train |= {"learning_rate": 1e-2, "ema_decay": 0.5}  # so that a few iterations make a difference
    return paper.model_copy(
        update={
            "backbone": paper.backbone.model_copy(update={"hyper": _SMALL_HYPER}),
            "train": paper.train.model_copy(update=train),
        }
    )


def training(small: bool, precision: str, **more: Any) -> TrainParams:
    """How a step trains: the paper's settings at a precision, which a CPU has no choice of."""
    return params(small).train.model_copy(update={"precision": precision, **more})


def degradation(small: bool) -> Any:
    """The `Degradation` of the paper's training, whose module is imported only here."""
    block = params(small).degradation
    return registry.build("degradation", block.name, block.settings)


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merged(below.get(key), value) for key, value in above.items()}
    return above
