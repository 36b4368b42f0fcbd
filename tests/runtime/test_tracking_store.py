"""Where runs are tracked: addresses, and databases that cannot be opened."""

import contextlib
import logging
import re
import sqlite3
from pathlib import Path

import pytest

from blindsr.runtime import tracking, tracking_store
from blindsr.runtime.errors import UserError


def damage(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "foreign":
        path.write_bytes(b"of another program" * 100)
    elif kind == "cut off":
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE experiments (name VARCHAR(256))")
            database.execute("CREATE TABLE runs (name VARCHAR(256))")
        path.write_bytes(path.read_bytes()[:-4096])


@pytest.mark.needs("mlflow")
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("folder", "unable to open database file"),
        ("foreign", "file is not a database"),
        ("cut off", "database disk image is malformed"),
    ],
)
def test_a_database_that_cannot_be_opened_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str, says: str
) -> None:
    """MLflow alone would try ten times, for two minutes, with lines of its own."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    damage(tmp_path / "mlflow.db", kind)
    with caplog.at_level(logging.WARNING), tracking.open_run("x", "key", {"a": 1}) as run:
        run.metrics(20, {"l1": 0.5})
    said = f"the database sqlite:///{tmp_path}/mlflow.db cannot be opened ({says}): if it is damaged, move it away"
    publish = "; going on without it, `blindsr runs sync` publishes the run later"
    assert [record.getMessage() for record in caplog.records] == [said + publish]
    with pytest.raises(UserError, match=re.escape(said)):
        tracking_store.connect(tracking_store.own())


@pytest.mark.needs("mlflow")
def test_a_database_server_that_is_not_there_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://me:secret@127.0.0.1:9/runs")
    with caplog.at_level(logging.WARNING), tracking.open_run("x", "key", {"a": 1}):
        pass
    (record,) = caplog.records
    assert "postgresql+psycopg2://me:***@127.0.0.1:9/runs cannot be opened (" in record.getMessage()


def test_a_reason_is_what_the_database_said_alone() -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="comes with mlflow")
    error = sqlalchemy.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError("disk I/O error"))
    assert "SELECT" in str(error)
    assert tracking_store.reason(error) == "disk I/O error"
    assert tracking_store.reason(ValueError(str(error))) == "(sqlite3.OperationalError) disk I/O error"


def test_the_store_is_in_the_real_root_unless_a_server_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_store.tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://team:5000")
    assert tracking_store.tracking_uri() == "http://team:5000"


@pytest.mark.parametrize(("name", "depth"), [("per%20cent", 1), ("q?mark", 2), ("a#b", 1), ("a b", 1), ("ü", 1)])
def test_a_project_may_be_called_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, depth: int
) -> None:
    """From a folder inside of it, as DVC's temporary copies are; MLflow keeps one database an address and process."""
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    root = tmp_path / name
    (root / "tables").mkdir(parents=True)
    (root / "tables" / "a.md").write_text("a")
    inside = root.joinpath(*["inside"] * depth)
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracking.open_run("net-rff-0", "key1", {"reg": "rff"}) as run:
        run.metrics(1, {"learning_rate": 0.1})
        run.artifacts(root / "tables")
    store = tracking_store.tracking_uri()
    (found,) = tracking_store.runs(tracking_store.connect(store))
    assert found.data.metrics == {"learning_rate": 0.1}
    assert (root / "mlflow.db").is_file()
    assert len(list((root / "mlartifacts").rglob("a.md"))) == 1
    assert {path.name for path in tmp_path.iterdir()} == {name}
