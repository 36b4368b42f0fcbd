"""MLflow stores of the tests of `runs`: making the tables of a new one takes seconds, so each is a copy."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from blindsr.runtime import tracking


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables and no run."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client = tracking.connect(f"sqlite:///{path}", new=True)
    assert client.get_experiment_by_name(tracking.EXPERIMENT) is None
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
