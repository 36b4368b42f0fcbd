"""Metrics of the pyiqa package: `pyiqa_dists`, `pyiqa_niqe`, `pyiqa_musiq`, `pyiqa_topiq_nr`, and all its others.

Source: C. Chen and others, IQA-PyTorch (`pip install pyiqa`; its licence allows no commercial use). The package is
needed for nothing else: without it, or without the weights of a metric, that column stays empty. Which direction is
better, and whether a metric looks at the HR image, is what the package says.
"""

import contextlib
import difflib
import functools
import importlib.util
import io
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blindsr.plugins.metrics.base import RGB, Metric, cropped_pair
from blindsr.runtime import offline, packages
from blindsr.runtime.errors import UserError, one_line

_NOT_INSTALLED = "pyiqa is not installed (pip install pyiqa)"
_OF_SETS = ("fid", "sfid", "fid_dinov2", "inception_score")  # of many images at once
_OF_MORE = ("clipscore", "fgresq_pair")  # of an image and a text, of a pair without a reference
_SEED = 0  # some metrics look at random crops
_log = logging.getLogger(__name__)


def build(member: str, *, device: str | torch.device | None = None, download: bool = False) -> Metric:
    """A metric of the pyiqa package, on whole images, without any border removed.

    Args:
        member: Its name there, in small letters, with _ for - and _plus for +: topiq_nr_flive, clipiqa_plus.
        device: That it runs on. Without one it is made when it is first used, on the CPU.
        download: Whether it may fetch its weights; else they are taken from where torch and Hugging Face keep theirs
            (TORCH_HOME, HF_HOME), and the metric lacks them where they are not there.

    Raises:
        ValueError: for a metric that pyiqa does not have, or that is not of one image.
    """
    about = _about(member)
    if about is None:
        return _record(member, {}, _Unmade(_NOT_INSTALLED), _NOT_INSTALLED)
    name, known = about
    make = functools.cache(lambda: _make(name, device or "cpu", download))
    lacks = "" if device is None else getattr(make(), "why", "")
    return _record(member, known, lambda sr, hr: make()(sr, hr), lacks)


def _record(member: str, known: Mapping[str, Any], score: Callable[[RGB, RGB], float], lacks: str) -> Metric:
    return Metric(
        f"pyiqa_{member}",
        label=f"{member.upper().replace('_', ' ')} (pyiqa)",
        unit="",
        decimals=4,
        higher_is_better=not known.get("lower_better", False) if known else None,
        measure=lambda sr, hr, lr: score(sr, hr),
        needs_hr=known.get("metric_mode", "NR") != "NR",
        made_by=" ".join(f"{name} {version}" for name, version in packages.versions(["pyiqa"]).items()),
        lacks=lacks,
    )


def _about(member: str) -> tuple[str, Mapping[str, Any]] | None:
    """The name of a metric in pyiqa and what that says of it; None where the package is not installed.

    Its table of metrics is read by itself, since all of the package takes seconds to import.
    """
    package = importlib.util.find_spec("pyiqa") if packages.installed("pyiqa") else None
    folders = (package.submodule_search_locations or []) if package else []
    file = next((path for folder in folders if (path := Path(folder) / "default_model_configs.py").is_file()), None)
    spec = importlib.util.spec_from_file_location("_pyiqa_configs", file) if file else None
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known: dict[str, tuple[str, Mapping[str, Any]]] = {
        _member(name): (name, about) for name, about in module.DEFAULT_CONFIGS.items()
    }
    for names, what in ((_OF_SETS, "many images at once"), (_OF_MORE, "more than an image and its HR image")):
        if member in names:
            raise ValueError(f"it is a score of {what}, and cannot be had of one")
    if member not in known:
        near = difflib.get_close_matches(member, known, n=3) or sorted(known)
        raise ValueError(f"pyiqa has no metric {member!r}: choose from {', '.join(near)}")
    return known[member]


def _member(name: str) -> str:
    """A name of pyiqa's as one of a plug-in."""
    return re.sub("[^a-z0-9]+", "_", name.lower().replace("+", "_plus")).strip("_")


class _Unmade:
    """In the place of a metric that cannot be made here."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __call__(self, sr: RGB, hr: RGB) -> float:
        raise UserError(self.why)


class _Made:
    """A metric of pyiqa's, as a function of images."""

    def __init__(self, name: str, network: Callable[..., Any], device: str | torch.device, download: bool) -> None:
        self._name, self._network, self._device, self._download = name, network, device, download
        self._reference = getattr(network, "metric_mode", "FR") != "NR"
        self._said: set[str] = set()

    def __call__(self, sr: RGB, hr: RGB) -> float:
        """The score; NaN, and a warning once, of an image that the metric fails on, as on a small one."""
        cropped_pair(sr, hr, 0)
        images = [_tensor(image, self._device) for image in ((sr, hr) if self._reference else (sr,))]
        try:
            with _network(self._download), _same_draws(), torch.inference_mode():
                made = self._network(*images)
            value = float(torch.as_tensor(made).cpu().double().mean())
        except (Exception, offline.Unreachable) as error:  # whatever code of others meets
            value, why = float("nan"), _why(error)
        else:
            why = "its score is not finite"
        if not np.isfinite(value) and why not in self._said:
            self._said.add(why)
            size = f"{sr.shape[1]}×{sr.shape[0]}"
            _log.warning("pyiqa's %s has no score of an image of %s px: %s", self._name, size, why)
        return value if np.isfinite(value) else float("nan")


def _make(name: str, device: str | torch.device, download: bool) -> "_Made | _Unmade":
    try:
        with _quiet(download), _network(download):
            pyiqa = packages.beside_torchvision("pyiqa")
            network = pyiqa.create_metric(name, device=torch.device(device))
    except (Exception, offline.Unreachable) as error:  # whatever code of others meets
        return _Unmade(f"pyiqa's {name} cannot be had here: {_why(error)}")
    return _Made(name, network, device, download)


def _why(error: BaseException) -> str:
    if isinstance(error, offline.Unreachable):
        return (
            f"its weights are neither in TORCH_HOME nor in HF_HOME, and downloads ({error}) are off; "
            "allow them with --download-weights or evaluate.download_weights"
        )
    return f"{type(error).__name__}: {one_line(error)}"


@contextlib.contextmanager
def _quiet(download: bool) -> Iterator[None]:
    """What the package prints is the progress of downloads; without them it is "Downloading …" of what is refused.

    Both streams are those of the process: only for what runs while nothing else does.
    """
    logging.getLogger("pyiqa").setLevel(logging.WARNING)
    shown = sys.stderr if download else io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        yield


def _network(download: bool) -> AbstractContextManager[None]:
    """None unless it is allowed."""
    return contextlib.nullcontext() if download else offline.no_network()


@contextlib.contextmanager
def _same_draws() -> Iterator[None]:
    """The same random numbers each time, and nothing drawn of the generators of others."""
    before = np.random.get_state()  # noqa: NPY002 (the package draws from it)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        np.random.seed(_SEED)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


def _tensor(image: RGB, device: str | torch.device) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(image.copy()).to(device).permute(2, 0, 1)[None].float() / 255
