"""What several test files share."""

import contextlib
import importlib
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import hypothesis
import numpy as np
import pytest
import torch
from torch import library

from blindsr.acquisition import inspection
from blindsr.acquisition.catalog import Manifest, UserSource
from blindsr.config import conf
from blindsr.data.indices import IndexedImage
from blindsr.runtime import packages

# the same examples in every run: what fails by chance says nothing of the change that it fails on
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("repeatable")


# a shell that starts the tests in the background has Ctrl-C ignored, also by what the tests start
signal.signal(signal.SIGINT, signal.default_int_handler)


# processes of the tests that share the cores wait for each other where each has threads for all of them
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of what the tests start


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws without a generator of its own is the same in every run and in any order of the tests."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (of libraries that still use it)
    random.seed(0)


# the folders whose tests start processes, the longest first
_LONG = ("e2e", "training", "stages", "apps", "benchmarks", "runtime", "reporting")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files begin first: of two processes, one would otherwise wait for the other at the end."""
    items.sort(key=lambda item: next((i for i, name in enumerate(_LONG) if name in item.path.parts), len(_LONG)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a package that is not there: the mark `needs`."""
    for mark in item.iter_markers("needs"):
        for module in mark.args:
            if not packages.installed(module):
                pytest.skip(f"{module} is not installed: pip install -r requirements.txt -r requirements-dev.txt")


if not packages.installed("hydra"):

    def _no_composition(*arguments: object) -> None:
        pytest.skip("hydra is not installed: pip install hydra-core", allow_module_level=True)

    conf.compose = _no_composition


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real benchmark images and LPIPS weights; the test is skipped where there is none."""
    folder = Path(os.environ.get("BLINDSR_TEST_DATA", "nowhere"))
    if not (folder / "benchmarks").is_dir():
        pytest.skip("real benchmark images are absent: set BLINDSR_TEST_DATA to a folder that has benchmarks/")
    return folder


@pytest.fixture(scope="session")
def index_images() -> Callable[[Path], list[IndexedImage]]:
    """The index that the fetch stage would write for all images of a folder."""
    source = UserSource(kind="user", help="made by the test")
    manifest = Manifest(name="made", role="train", title="made", licence="none", sources=[source])
    return lambda folder: inspection.inspect(manifest, folder).images


@pytest.fixture(scope="session")
def torchvision_operators() -> Iterator[None]:
    """Makes torchvision importable beside a torch that its own operators cannot be loaded with.

    lpips and spandrel import it, and want two operators of it that nothing here calls. Skips where there is none.
    """
    try:
        importlib.import_module("torchvision")
        yield
    except ImportError:
        pytest.skip("torchvision is not installed")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            with contextlib.suppress(RuntimeError):  # defined already
                library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        yield


@pytest.fixture(scope="session")
def spandrel(torchvision_operators: None) -> ModuleType:
    """The package; the test is skipped where it is not installed."""
    module: ModuleType = pytest.importorskip("spandrel")
    return module
