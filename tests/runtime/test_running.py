"""A run whose process is gone is KILLED; one whose process lives, or is on another machine, stays as it is."""

from pathlib import Path
from typing import Any

import pytest

from blindsr.runtime import running, tracking, tracking_store


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's own client on the project's store; the test is skipped without MLflow."""
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking_store.client(tracking_store.own())


def begun(client: Any, store: str, key: str) -> str:
    """A run with one value whose process is gone, as after SIGKILL: nothing holds its lock."""
    experiment = tracking_store.experiment_id(client, store)
    run_id = str(tracking_store.make(client, experiment, key, {}, run_name=key))
    client.log_metric(run_id, "l1", 0.5, timestamp=1_700_000_000_000, step=20)
    return run_id


def status(client: Any, run_id: str) -> str:
    return str(client.get_run(run_id).info.status)


def test_what_was_killed_is_marked_and_what_lives_is_not(client: Any, tmp_path: Path) -> None:
    store = tracking_store.own()
    gone = begun(client, store, "gone")
    with tracking.open_run("alive", "alive", {}):
        assert running.mark_killed(client, store) == 1
        names = {run.info.run_name: run.info for run in tracking_store.runs(client)}
        assert {name: info.status for name, info in names.items()} == {"gone": "KILLED", "alive": "RUNNING"}
        assert names["gone"].end_time == 1_700_000_000_000  # of its last value
        locks = tmp_path / ".train_state" / "running"
        assert [path.name for path in locks.iterdir()] == [f"{names['alive'].run_id}.lock"]
    assert list(locks.iterdir()) == []
    assert running.mark_killed(client, store) == 0
    with tracking.open_run("gone", "gone", {}):  # the training is resumed
        assert status(client, gone) == "RUNNING"
    assert status(client, gone) == "FINISHED"


def test_of_a_store_of_several_machines_only_ones_own_runs_are_marked(client: Any, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'team.db'}"
    team = tracking_store.client(store)
    own, other = begun(team, store, "own"), begun(team, store, "other")
    lock = running.hold(own)
    assert lock is not None
    lock.release()  # by the system, with the process: the file stays
    assert running.mark_killed(team, store) == 1
    assert (status(team, own), status(team, other)) == ("KILLED", "RUNNING")


def test_a_store_without_runs_has_none_to_mark(client: Any) -> None:
    assert running.mark_killed(client, tracking_store.own()) == 0
