"""A package named pyiqa with metrics of known values, in the place of the real one.

What the adapter uses of the package: the table of metrics in a file of its own, and a function that makes one.
`test_the_stand_in_has_the_interface_of_the_package` holds that against the real one.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIGS = """
DEFAULT_CONFIGS = {
    "gap": {"metric_mode": "FR", "lower_better": True},
    "light-a+": {"metric_mode": "NR"},
    "fetched": {"metric_mode": "NR", "lower_better": True},
    "small": {"metric_mode": "NR"},
    "drawn": {"metric_mode": "NR"},
    "fid": {"metric_mode": "NR", "lower_better": True},
}
"""
PACKAGE = """
import urllib.request

import numpy as np
import torch

from pyiqa.default_model_configs import DEFAULT_CONFIGS


class Made(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name, self.metric_mode = name, DEFAULT_CONFIGS[name]["metric_mode"]

    def forward(self, target, ref=None):
        assert target.shape[:2] == (1, 3) and target.max() <= 1
        assert (ref is None) == (self.metric_mode == "NR")
        if self.name == "small":
            raise RuntimeError("images of 40 px or more\\n")
        if self.name == "drawn":
            return torch.rand(1) + np.random.rand()
        return (target - ref).abs().mean() if self.name == "gap" else target.mean().reshape(1, 1)


def create_metric(metric_name, as_loss=False, device=None, **kwargs):
    print("Loading pretrained model")
    if metric_name == "fetched":
        try:
            urllib.request.urlopen("https://weights.example.org/niqe.mat")
        except Exception as error:
            raise RuntimeError("tried another host") from error
    return Made(metric_name)
"""


@contextlib.contextmanager
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Importable inside of the block, before any real one."""
    for name in _modules():
        monkeypatch.delitem(sys.modules, name)
    (folder / "pyiqa").mkdir()
    (folder / "pyiqa" / "__init__.py").write_text(PACKAGE)
    (folder / "pyiqa" / "default_model_configs.py").write_text(CONFIGS)
    monkeypatch.syspath_prepend(folder)
    yield
    for name in _modules():
        del sys.modules[name]


def _modules() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "pyiqa"]
