"""Copies of runs between real stores: whole, once, and resumed after an interruption."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blindsr.apps import publish
from blindsr.runtime import tracking, tracking_store
from blindsr.runtime.errors import UserError

Store = Callable[[str], str]


def record(key: str, points: dict[int, float], scores: dict[str, float], tables: Path | None = None) -> None:
    """A run in the project's own store."""
    with tracking.open_run("net-rff-0", key, {"reg": "rff", "seed": 0}) as run:
        for step, value in points.items():
            run.metrics(step, {"learning_rate": 1e-3, "l1": value, "penalty": value / 2})
        run.inputs([tracking.DataSet("photos", "01ab", "training")])
        run.summary(scores)
        if tables:
            run.artifacts(tables)


def contents(uri: str) -> list[Any]:
    """All that a store holds of its runs, but for their ids."""
    client = tracking_store.connect(uri)
    found = []
    for run in tracking_store.runs(client):
        history = {
            name: sorted((p.step, p.timestamp, p.value) for p in client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics
        }
        files = sorted(
            file.path for item in client.list_artifacts(run.info.run_id) for file in walk(client, run, item)
        )
        info = (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time)
        sets = [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs]
        found.append((*info, run.data.params, run.data.tags, history, files, sets))
    return found


def walk(client: Any, run: Any, item: Any) -> list[Any]:
    return client.list_artifacts(run.info.run_id, item.path) if item.is_dir else [item]


def test_a_copy_has_everything_and_a_second_one_adds_nothing(store: Store, tmp_path: Path) -> None:
    own, team = store("mlflow"), store("team")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "psnr.md").write_text("# psnr")
    record("key1", {20: 0.5, 40: 0.25}, {"psnr_db/Toy/b+n": 21.5}, tmp_path / "tables")
    record("key2", {20: 0.125}, {})
    assert publish.copy(own, team) == {"new": 2}
    assert contents(team) == contents(own)
    first = contents(team)[0]
    assert first[:2] == ("net-rff-0", "FINISHED")
    assert [value for _, _, value in first[6]["l1"]] == [0.5, 0.25]
    assert first[7] == ["tables/psnr.md"]
    assert publish.copy(own, team) == {"there already": 2}
    assert contents(team) == contents(own)


def test_an_interrupted_copy_is_gone_on_with(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, team = store("mlflow"), store("team")
    record("key1", {step: 1 / step for step in range(1, 8)}, {"psnr_db/Toy/clean": 30.0})
    monkeypatch.setattr(tracking, "BATCH", 4)
    client = type(tracking_store.connect(team))
    send, calls = client.log_batch, []

    def lost(self, run_id, metrics=(), **more) -> None:
        calls.append(len(metrics))
        if len(calls) == 3:
            raise ConnectionError("gone")
        send(self, run_id, metrics=metrics, **more)

    monkeypatch.setattr(client, "log_batch", lost)
    with pytest.raises(UserError, match=r"team\.db cannot be used \(gone\)"):
        publish.copy(own, team)
    assert contents(team)[0][1] == "RUNNING"
    monkeypatch.setattr(client, "log_batch", send)
    assert publish.copy(own, team) == {"completed": 1}
    assert contents(team) == contents(own)


def test_a_run_that_goes_on_here_is_completed_there(store: Store) -> None:
    own, team = store("mlflow"), store("team")
    with tracking.open_run("net-rff-0", "key1", {"reg": "rff"}) as run:
        run.metrics(20, {"learning_rate": 1e-3, "l1": 0.5})
        run.flush()
        assert publish.copy(own, team) == {"new": 1}
        assert contents(team)[0][1] == "RUNNING"
        run.metrics(40, {"learning_rate": 1e-3, "l1": 0.25})
    assert publish.copy(own, team) == {"completed": 1}
    assert contents(team) == contents(own)


def test_a_colleagues_run_of_the_same_settings_is_not_doubled_and_newer_scores_win(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, team = store("mlflow"), store("team")
    record("key1", {20: 0.5, 40: 0.25}, {"psnr_db/Toy/clean": 30.0})
    publish.copy(own, team)
    (tmp_path / "clone").mkdir()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "clone"))
    own = store("clone/mlflow")
    record("key1", {20: 0.5, 40: 0.25, 60: 0.125}, {"psnr_db/Toy/clean": 31.0})
    assert publish.copy(own, team) == {"completed": 1}
    (run,) = contents(team)
    assert [(step, value) for step, _, value in run[6]["l1"]] == [(20, 0.5), (40, 0.25), (60, 0.125)]
    assert [value for _, _, value in run[6]["psnr_db/Toy/clean"]] == [30.0, 31.0]
    (found,) = tracking_store.runs(tracking_store.connect(team))
    assert found.data.metrics["psnr_db/Toy/clean"] == 31.0


def test_all_pages_are_copied_and_only_runs_of_this_project(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    own, team = store("mlflow"), store("team")
    monkeypatch.setattr(tracking_store, "_PAGE", 2)
    for number in range(5):
        record(f"key{number}", {20: 0.5}, {})
    client = tracking_store.connect(own)
    client.create_run(tracking_store.experiment_id(client, own), run_name="by hand")
    assert publish.copy(own, team) == {"new": 5}
    assert [run[5]["blindsr.run"] for run in contents(team)] == [f"key{number}" for number in range(5)]


def test_a_store_that_cannot_be_used_is_one_line_without_its_password(store: Store) -> None:
    own = store("mlflow")
    record("key1", {20: 0.5}, {})
    with pytest.raises(UserError, match=r"MLflow at http://.*\*\*\*@127\.0\.0\.1:9 cannot be used") as caught:
        publish.copy(own, "http://me:secret@127.0.0.1:9")  # the discard port: refused at once
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()
    with pytest.raises(UserError, match=r"other\.db is not there"):
        publish.copy("sqlite:///other.db", own)
    with pytest.raises(UserError, match="team is no address of MLflow"):
        publish.copy(own, "team")


def test_a_run_that_another_machine_takes_back_meanwhile_is_looked_for_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, team = store("mlflow"), store("team")
    record("key1", {20: 0.5}, {})
    client = tracking_store.connect(team, new=True)
    experiment = tracking_store.experiment_id(client, team)
    other = client.create_run(experiment, tags={tracking_store.KEY_TAG: "key1"})
    find, calls = tracking_store.find, []

    def found(*arguments: Any) -> Any:
        run = find(*arguments)
        calls.append(run)
        if len(calls) == 1:  # what `make` of the other machine does, once it sees a third one's run
            client.delete_run(other.info.run_id)
        return run

    monkeypatch.setattr(tracking_store, "find", found)
    assert publish.copy(own, team) == {"new": 1}
    assert calls[0].info.run_id == other.info.run_id
    assert contents(team) == contents(own)
    with pytest.raises(UserError, match="cannot be used"):  # what is not of that kind is still said
        monkeypatch.setattr(type(client), "log_batch", lambda *_, **__: 1 / 0)
        record("key2", {20: 0.5}, {})
        publish.copy(own, team)
