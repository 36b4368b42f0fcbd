"""A small patch store, small training settings, and a cell that real processes train."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from blindsr import conf
from blindsr.datasets import patch_store
from blindsr.datasets.patch_store import PatchStore
from blindsr.images import write_png
from blindsr.settings import DegradationParams, TrainParams

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [
    "profile=embedded",
    "backbone.hyper.srresnet={num_blocks: 1, num_features: 4}",
    "train={iterations: 12, batch: 8, crop: 32, window: 80, log_every: 2, validation: {every: 4, windows: 2}}",
    "runtime={workers: 0, checkpoint_every: 3, device: cpu}",
    "data.roots={}",
]


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two smooth random images of 200 x 260 and 180 x 240 px, patches of 160 px."""
    folder = tmp_path_factory.mktemp("store")
    generator = np.random.default_rng(1)
    for name, height, width in (("a", 200, 260), ("b", 180, 240)):
        coarse = generator.integers(20, 235, (height // 10, width // 10, 3), dtype=np.uint8)
        write_png(folder / f"{name}.png", cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    sources = [folder / "a.png", folder / "b.png"]
    patch_store.build(sources, folder / "store", size=160, step=80, scale=4, smallest=64)
    return folder / "store"


@pytest.fixture(scope="session")
def store(store_folder: Path) -> PatchStore:
    """The store of `store_folder`."""
    return PatchStore(store_folder)


@pytest.fixture(scope="session")
def composed() -> dict[str, Any]:
    """The composed settings of the embedded profile."""
    return conf.compose(ROOT / "conf")


@pytest.fixture(scope="session")
def degradation(composed: dict[str, Any]) -> DegradationParams:
    """The paper's degradation."""
    return DegradationParams.model_validate(composed["degradation"])


@pytest.fixture(scope="session")
def train_params(composed: dict[str, Any]) -> TrainParams:
    """Six iterations on two crops of 64 px."""
    small = {"iterations": 6, "batch": 4, "crop": 64, "window": 144, "log_every": 2}
    return TrainParams.model_validate(composed["train"] | small)


class Cell:
    """A folder in which `blindsr train srresnet REG 0` works: twelve iterations of a tiny network, without MLflow."""

    def __init__(self, folder: Path, store: Path, overrides: list[str]) -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "patches").symlink_to(store)
        settings = conf.compose(ROOT / "conf", [*SETTINGS, *overrides])
        (folder / "params.yaml").write_text(yaml.safe_dump(settings))

    def start(
        self, *arguments: str, before: str = "", tracked: bool = False, launcher: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        """A process that runs `before`, which can break things, and then `blindsr train srresnet ARGUMENTS`."""
        untracked = "" if tracked else "from blindsr import tracking as t; t._open = lambda *a: t.Run(None, '')\n"
        code = f"{untracked}{before}\nfrom blindsr.cli import main; main()"
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "DVC_EXP_NAME": "a-test",  # params.yaml is taken as it is
            "DVC_ROOT": str(self.folder),
            "GLOO_SOCKET_IFNAME": "lo",
            "LOGLEVEL": "CRITICAL",
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        command = [*launcher, sys.executable, "-c", code, "train", "srresnet", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.folder, env=environment, text=True, start_new_session=True, **pipes)

    def train(self, *arguments: str, status: int = 0, **more: Any) -> str:
        """Run it to its end, which must be with `status`; its stderr, or its stdout with --replay."""
        process = self.start(*(arguments or ("rff", "0")), **more)
        output, error = process.communicate(timeout=120)
        assert process.returncode == status, error
        assert "Traceback" not in error
        return output if "--replay" in arguments else error

    def results(self, reg: str = "rff") -> tuple[str, str]:
        """Hashes of the weights and of the curve."""
        paths = (f"models/srresnet-{reg}-0.safetensors", f"reports/curves/srresnet-{reg}-0.csv")
        weights, curve = (hashlib.sha256((self.folder / path).read_bytes()).hexdigest() for path in paths)
        return weights, curve

    def weights(self, reg: str = "rff") -> torch.Tensor:
        """All weights in one vector."""
        state = safetensors.torch.load_file(self.folder / f"models/srresnet-{reg}-0.safetensors")
        return torch.cat([state[key].flatten() for key in sorted(state)])


@pytest.fixture
def cell(store_folder: Path, tmp_path: Path) -> Callable[..., Cell]:
    """Makes cells, each in a folder of its own; arguments are changes of the settings."""
    made: list[Cell] = []

    def make(*overrides: str) -> Cell:
        made.append(Cell(tmp_path / f"cell{len(made)}", store_folder, list(overrides)))
        return made[-1]

    return make


@pytest.fixture(scope="session")
def undisturbed(store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Cell]:
    """Cells that were trained in one go, each once for all tests."""
    trained: dict[str, Cell] = {}

    def train(reg: str = "rff", *overrides: str) -> Cell:
        name = "_".join([reg, *overrides])
        if name not in trained:
            trained[name] = Cell(tmp_path_factory.mktemp("whole") / "cell", store_folder, list(overrides))
            trained[name].train(reg, "0")
        return trained[name]

    return train
