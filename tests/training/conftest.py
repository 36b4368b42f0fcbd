"""A small patch store, small training settings, and a run that real processes train."""

import hashlib
import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

import committed
from blindsr.acquisition import patch_builder
from blindsr.config import conf, registry
from blindsr.config.schema import TrainParams
from blindsr.data.images import write_png
from blindsr.data.indices import IndexedImage
from blindsr.data.patch_store import PatchStore
from blindsr.plugins.degradations.base import Degradation

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [
    "profile=embedded",
    "backbone.hyper.srresnet={num_blocks: 1, num_features: 4}",
    "train={iterations: 12, batch: 8, crop: 32, window: 80, log_every: 2, validation: {every: 4, windows: 2}}",
    "runtime={workers: 0, keep_batches: false, checkpoint_every: 3, device: cpu}",
    "data.roots={}",
]


@pytest.fixture(scope="session")
def store_folder(
    tmp_path_factory: pytest.TempPathFactory, index_images: Callable[[Path], list[IndexedImage]]
) -> Path:
    """Two smooth random images of 200 x 260 and 180 x 240 px, patches of 160 px."""
    folder = tmp_path_factory.mktemp("store")
    generator = np.random.default_rng(1)
    for name, height, width in (("a", 200, 260), ("b", 180, 240)):
        coarse = generator.integers(20, 235, (height // 10, width // 10, 3), dtype=np.uint8)
        write_png(folder / f"{name}.png", cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    patch_builder.build(
        index_images(folder), folder, folder / "store",
        size=160, step=80, scale=4, smallest=64, state=folder / "state", workers=1,
    )  # fmt: skip
    return folder / "store"


@pytest.fixture(scope="session")
def store(store_folder: Path) -> PatchStore:
    """The store of `store_folder`."""
    return PatchStore(store_folder)


@pytest.fixture(scope="session")
def composed() -> dict[str, Any]:
    """The composed settings of the embedded profile."""
    return committed.settings()


@pytest.fixture(scope="session")
def degradation(composed: dict[str, Any]) -> Degradation[Any]:
    """The paper's degradation."""
    return registry.build("degradation", "second_order", composed["degradation"]["settings"])


@pytest.fixture(scope="session")
def train_params(composed: dict[str, Any]) -> TrainParams:
    """Six iterations on two crops of 64 px."""
    small: dict[str, Any] = {"iterations": 6, "batch": 4, "crop": 64, "window": 144, "log_every": 2}
    small["validation"] = composed["train"]["validation"] | {"every": 0}
    return TrainParams.model_validate(composed["train"] | small)


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["blindsr.cli", "blindsr.stages.train"])


class LocalRun:
    """A folder in which `blindsr train srresnet REG 0` works: twelve iterations of a tiny network, without MLflow."""

    def __init__(self, folder: Path, store: Path, overrides: list[str]) -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "patches").symlink_to(store)
        settings = conf.compose(ROOT / "conf", [*SETTINGS, *overrides])
        (folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))

    def start(self, *arguments: str, before: str = "", tracked: bool = False, **environment: str) -> BaseProcess:
        """A process that runs `before`, which can break things, and then `blindsr train srresnet ARGUMENTS`.

        It is forked from one that has made the imports, which would take longer than the training.
        """
        variables = {"DVC_EXP_NAME": "a-test", "DVC_ROOT": str(self.folder), "GLOO_SOCKET_IFNAME": "lo"} | environment
        code = "\n".join(
            [
                "import os, sys",
                "os.setsid()",
                f"os.chdir({str(self.folder)!r})",
                f"os.environ.update({variables!r})",
                "os.environ.pop('MLFLOW_TRACKING_URI', None)",
                f"for number, name in ((1, 'stdout'), (2, 'stderr{environment.get('RANK', '')}')):",
                "    os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)",
                "sys.stdout, sys.stderr = os.fdopen(1, 'w'), os.fdopen(2, 'w', 1)",
                "" if tracked else "from blindsr.runtime import tracking as t; t._open = lambda *a: t.Run(None, '')",
                before,
                f"sys.argv[1:] = {['train', 'srresnet', *arguments]!r}",
                "from blindsr.cli import main",
                "main()",
            ]
        )
        process = FORKS.Process(target=exec, args=(code, {"__name__": "a_test"}))
        process.start()
        return process

    def train(self, *arguments: str, status: int = 0, **more: Any) -> str:
        """Run it to its end, which must be with `status`; its stderr."""
        return self.wait(self.start(*(arguments or ("rff", "0")), **more), status)

    def wait(self, process: BaseProcess, status: int = 0, rank: str = "") -> str:
        """Stderr of a process that has ended, as it must, with `status`."""
        process.join(120)
        error = (self.folder / f"stderr{rank}").read_text()
        assert process.exitcode == status, error
        assert "Traceback" not in error
        return error

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
def local_run(store_folder: Path, tmp_path: Path) -> Callable[..., LocalRun]:
    """Makes runs, each in a folder of its own; arguments are changes of the settings."""
    made: list[LocalRun] = []

    def make(*overrides: str) -> LocalRun:
        made.append(LocalRun(tmp_path / f"run{len(made)}", store_folder, list(overrides)))
        return made[-1]

    return make


@pytest.fixture(scope="session")
def undisturbed(store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LocalRun]:
    """Runs that were trained in one go, each once for all tests."""
    trained: dict[str, LocalRun] = {}

    def train(reg: str = "rff", *overrides: str) -> LocalRun:
        name = "_".join([reg, *overrides])
        if name not in trained:
            trained[name] = LocalRun(tmp_path_factory.mktemp("whole") / "run", store_folder, list(overrides))
            trained[name].train(reg, "0")
        return trained[name]

    return train
