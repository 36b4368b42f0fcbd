"""Every setting that decides a training run, flat and readable: what a tracking server compares runs by."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.runtime import privacy


def described(params: Params, run: Run) -> dict[str, str]:
    """The settings of one run.

    Args:
        params: Settings of the project.
        run: One of its runs.

    Returns:
        Dotted names, such as "train.schedule.min_learning_rate", "backbone.num_blocks" and "reg.hyper.sigma", to
        values as text: numbers and names as they are, lists as JSON. None is "none", as what is not set.
    """
    settings = params.reg.settings[run.reg]
    regularizer = {"weight": settings.weight, "hyper": settings.hyper_for(run.backbone)}
    if settings.gradient_share is not None:
        regularizer["gradient_share"] = settings.gradient_share
    nested: dict[str, Any] = {
        "backbone": params.backbone.hyper[run.backbone],
        "reg": regularizer,
        "scale": params.scale,
        "profile": params.profile,
        "data": {"train": params.data.train},
        "patches": params.patches.model_dump(),
        "degradation": {"name": params.degradation.name, **params.degradation.settings},
        "train": _training(params),
    }
    return {"backbone": run.backbone, "reg": run.reg, "seed": str(run.seed), **_flat(privacy.setting(nested))}


def _training(params: Params) -> dict[str, Any]:
    """Settings of training; what watches it, and settings of losses that are not used, change no weight."""
    settings = params.train
    found = settings.model_dump(mode="json", exclude={"validation", "log_every", "threads"})
    found["loss_settings"] = {n: s for n, s in settings.loss_settings.items() if n in settings.losses}
    if settings.init_from:
        found["init_from"] = Path(settings.init_from).name  # a folder is private
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = _text(value)
    return found


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool | list | tuple | dict):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
