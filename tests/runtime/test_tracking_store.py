"""Where runs are tracked: addresses, and databases that cannot be opened."""

import contextlib
import copy
import logging
import random
import re
import socketserver
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
    elif kind == "inside":
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE experiments (name VARCHAR(256))")
            database.executemany("INSERT INTO experiments VALUES (?)", [("a" * 100,)] * 1000)
        content = bytearray(path.read_bytes())
        content[5 * 4096 : 5 * 4096 + 2000] = bytes(2000)
        path.write_bytes(content)


@pytest.mark.needs("mlflow")
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("folder", "cannot be opened (unable to open database file): check that it is a file of yours"),
        ("foreign", "is damaged (file is not a database): move it away, and `blindsr runs sync` makes it anew"),
        ("cut off", "is damaged (database disk image is malformed): move it away, and `blindsr runs sync` makes"),
        ("inside", "is damaged (malformed: "),
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
    said = f"the database sqlite:///{tmp_path}/mlflow.db {says}"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(said)
    assert line.endswith("; going on without it, `blindsr runs sync` publishes the run later")
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
    assert "***@127.0.0.1:9/runs cannot be opened (" in record.getMessage()


class Drip(socketserver.BaseRequestHandler):
    """A server that answers each request with a byte now and then, until the other side hangs up."""

    def handle(self) -> None:
        self.request.recv(1 << 16)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n")
        with contextlib.suppress(OSError):
            while not self.server.over.wait(0.05):
                self.request.sendall(b" ")


@pytest.fixture
def dripping() -> Iterator[str]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip)
    server.over = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.mark.needs("mlflow")
def test_a_server_that_drips_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, dripping: str
) -> None:
    """No read of it takes long, so that no time limit of a library is met."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dripping)
    monkeypatch.setattr(tracking_store, "_ANSWER", 0.2)
    with caplog.at_level(logging.WARNING), tracking.open_run("x", "key", {"a": 1}) as run:
        run.metrics(20, {"l1": 0.5})
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"MLflow at {dripping} does not answer (no whole answer in 0.2 s); going on without it")
    with (
        pytest.raises(UserError, match="cannot be used \\(no whole answer in .*: check the address and the server$"),
        tracking.open_run("x", "key", {}, store=dripping),
    ):
        pass


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("API request failed with error code 401 != 200. Unauthorized", "set MLFLOW_TRACKING_USERNAME and"),
        ("PERMISSION_DENIED: no", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ("connection refused on port 4010", "check the address and the server"),
        ("database is locked", "check the address and the server"),
    ],
)
def test_a_user_is_asked_for_where_the_server_asks_for_one(said: str, hint: str) -> None:
    with pytest.raises(UserError) as caught, tracking_store.asked("http://team:5000"):
        raise RuntimeError(said)
    assert str(caught.value).startswith(f"MLflow at http://team:5000 cannot be used ({said}): {hint}")


class Store:
    """What machines share: runs by their ids. Each call of a machine waits for its turn in the schedule."""

    def __init__(self, schedule: Sequence[int], ids: Sequence[str]) -> None:
        self.schedule, self.ids = deque(schedule), dict(enumerate(ids))
        self.runs: dict[str, Any] = {}
        self.turn, self.ended = threading.Condition(), set[int]()

    def call(self, machine: int, work: Callable[[], Any]) -> Any:
        with self.turn:
            while self.schedule and self.schedule[0] != machine and self.schedule[0] not in self.ended:
                self.turn.wait()
            if self.schedule:
                self.schedule.popleft()
            result = work()
            self.turn.notify_all()
            return result

    def end(self, machine: int) -> None:
        with self.turn:
            self.ended.add(machine)
            self.turn.notify_all()


class Client:
    """MLflow's client of one machine, as far as making a run goes."""

    def __init__(self, store: Store, machine: int) -> None:
        self.store, self.machine = store, machine

    def search_runs(self, experiments: list[str], query: str, **more: Any) -> list[Any]:
        return self.store.call(self.machine, lambda: [copy.deepcopy(run) for run in self.store.runs.values()])

    def create_run(self, experiment: str, tags: dict[str, str]) -> Any:
        run = SimpleNamespace(info=SimpleNamespace(run_id=self.store.ids[self.machine], status="RUNNING"))
        return self.store.call(self.machine, lambda: self.store.runs.setdefault(run.info.run_id, run))

    def delete_run(self, run_id: str) -> None:
        self.store.call(self.machine, lambda: self.store.runs.pop(run_id, None))

    def set_terminated(self, run_id: str) -> None:
        def end() -> None:
            if run_id in self.store.runs:  # else this machine has been told that its run is gone
                self.store.runs[run_id].info.status = "FINISHED"

        self.store.call(self.machine, end)


@pytest.mark.parametrize("ids", [("a", "b"), ("b", "a"), ("b", "c", "a")])
def test_machines_that_publish_at_once_leave_one_run(ids: tuple[str, ...]) -> None:
    """Whatever comes in between: a hundred orders of their calls, from one after the other to turn by turn."""
    chance = random.Random(1)
    for _ in range(100):
        store = Store([chance.randrange(len(ids)) for _ in range(30)], ids)

        def publish(machine: int, store: Store = store) -> None:
            client = Client(store, machine)
            try:
                if not tracking_store.find(client, "0", "key"):
                    made = tracking_store.make(client, "0", "key", {})
                    if made:
                        client.set_terminated(made)
                tracking_store.settle(client, "0", "key")
            finally:
                store.end(machine)

        threads = [threading.Thread(target=publish, args=(machine,)) for machine in range(len(ids))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [run.info.status for run in store.runs.values()] == ["FINISHED"]


def test_one_process_at_a_time_publishes_to_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of all clones on this machine, if it is a file."""
    shared, order = f"sqlite:///{tmp_path}/team.db", []
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "one"))
    waits = threading.Event()
    monkeypatch.setattr("builtins.print", lambda *said, **more: (order.append(said[0]), waits.set()))

    def other() -> None:
        with tracking_store.alone(shared, tracking_store.SYNC):
            order.append("other")

    thread = threading.Thread(target=other)
    with tracking_store.alone(shared, tracking_store.SYNC), tracking_store.alone(shared, tracking_store.RUN):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "two"))
        thread.start()
        assert waits.wait(60)
        order.append("one")
    thread.join()
    assert order == [f"another process publishes to {shared}: waiting for it", "one", "other"]


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
