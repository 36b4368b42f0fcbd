"""A DVC project of stand-ins for the tests of `grid`, and MLflow stores for those of `runs`."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from blindsr.config import conf
from blindsr.runtime import tracking_store

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = """
import os, sys, time
from pathlib import Path
stage, run = sys.argv[1:]
folder = Path("out")
folder.mkdir(exist_ok=True)
(folder / f"{stage}-{run}.started").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
how = Path("how").read_text()
if stage == "train" and how == "fail" and "rff" in run:
    sys.exit("error: this run fails")
while stage == "train" and how == "wait":
    time.sleep(0.05)
while stage == "train" and how == "meet" and len(list(folder.glob("train-*.started"))) < 2:
    time.sleep(0.05)  # for the other run, which must run at the same time
(folder / f"{stage}-{run}").write_text("made")
"""


def stage(name: str) -> dict[str, Any]:
    run = "${item.backbone}-${item.reg}-${item.seed}"
    matrix = {"backbone": "${backbone.names}", "reg": "${reg.names}", "seed": "${seeds}"}
    made = {"cmd": f"{sys.executable} stand_in.py {name} {run}", "outs": [f"out/{name}-{run}"]}
    return {"matrix": matrix, **made, "deps": ["how"] if name == "train" else [f"out/train-{run}"]}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project with two runs, whose stages take no time; the test is skipped without DVC."""
    pytest.importorskip("dvc", reason="dvc is not installed")
    settings = conf.compose(ROOT / "conf", ["reg.names=[none,rff]", "runtime.workers=0", "train.iterations=1000"])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    stages: dict[str, Any] = {name: stage(name) for name in ("train", "evaluate", "analyse")}
    stages |= {name: {"cmd": f"echo {name} > {name}.txt", "outs": [f"{name}.txt"]} for name in ("patches", "degrade")}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    (tmp_path / "how").write_text("meet")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_EXP_NAME", "a-test")  # params.yaml is taken as it is
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables and no run: making a new one takes seconds, so tests copy this.

    The test is skipped without MLflow.
    """
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client = tracking_store.connect(f"sqlite:///{path}", new=True)
    assert client.get_experiment_by_name(tracking_store.EXPERIMENT) is None
    return path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Callable[[str], str]:
    """Address of an empty store NAME.db in the working directory, which is the project; its own is mlflow.db."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def make(name: str) -> str:
        shutil.copyfile(empty_store, tmp_path / f"{name}.db")
        return f"sqlite:///{tmp_path / name}.db"

    return make
