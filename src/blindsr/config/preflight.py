"""What takes seconds to know of the settings, and would else be known after hours: in a later run, or at its end."""

import logging
from typing import Any

from blindsr.config import registry
from blindsr.config.params import Params
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

_log = logging.getLogger(__name__)
_MOST_PARAMETERS = 10**9
"""A network of more would need 16 GB for weights, gradients and Adam alone."""


def check(params: Params) -> None:
    """Look at every run that the settings name, before the first one begins.

    Args:
        params: Settings of the project.

    Raises:
        UserError: for a value that a backbone refuses, also of a later run; for a network that nobody can train; for
            a file of `train.init_from` that is not there; for a single test case, of which no analysis can be made.
    """
    init_from = params.train.init_from
    _warn_of_places(params)
    if init_from and not paths.of_user(init_from).is_file():
        raise UserError(
            f"train.init_from {init_from} is not a file: give weights that `blindsr export` writes, or another path"
        )
    if len(params.suite.cases) < 2:
        raise UserError(
            "suite.cases has one test case, and the analysis of features tells cases apart: name two or more"
        )
    for name in params.backbone.names:
        _build(name, params)


def _warn_of_places(params: Params) -> None:
    """params.yaml and dvc.lock are committed, and an absolute path in them tells of users and disks."""
    given: dict[str, Any] = {f"data.roots.{name}": root for name, root in params.data.roots.items()}
    given["train.init_from"] = params.train.init_from or ""
    for name, hyper in params.backbone.hyper.items():
        given |= {f"backbone.hyper.{name}.{key}": value for key, value in hyper.items() if isinstance(value, str)}
    private = [key for key, value in given.items() if paths.is_private(value)]
    if private:
        _log.warning(
            "%s: an absolute path goes into params.yaml and dvc.lock, which are committed: ~/... or $NAME/... keeps "
            "it on this machine",
            ", ".join(private),
        )


def _build(name: str, params: Params) -> None:
    """Build a backbone with its settings, on a device that has shapes and no memory."""
    import torch  # with what it needs for that device, a second or more

    key = f"backbone.hyper.{name}"
    try:
        with torch.device("meta"):
            network = registry.build("backbone", name, {"scale": params.scale, **params.backbone.hyper[name]})
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > _MOST_PARAMETERS:
        raise UserError(
            f"{key}: the network would have {count:,} parameters, and {_MOST_PARAMETERS:,} are the most: choose "
            "fewer blocks or channels"
        )
