"""MLflow on a real SQLite store: found again, no point twice, and never in the way."""

import logging
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from blindsr.model import architecture, inference, weight_files
from blindsr.runtime import tracking, tracking_store
from blindsr.runtime.errors import Interrupted, UserError


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """MLflow's own client on the store that the runs of this test use; the test is skipped without MLflow."""
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_store.tracking_uri())


def runs(client) -> list:
    experiment = client.get_experiment_by_name(tracking_store.EXPERIMENT)
    return client.search_runs([experiment.experiment_id])


def test_a_run_has_its_name_params_tags_curve_scores_and_artifacts(client, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "tidy-name")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "psnr.md").write_text("# psnr")
    with tracking.open_run("net-rff-0", "key1", {"reg": "rff", "seed": 0}) as run:
        for step in (20, 40):
            run.metrics(step, {"l1": 1 / step})
        run.summary({"psnr_db/Toy/b+n": 21.5})
        run.artifacts(tmp_path / "tables")
    (found,) = runs(client)
    assert found.info.run_name == "net-rff-0"
    assert found.info.status == "FINISHED"
    assert found.data.params == {"reg": "rff", "seed": "0"}
    assert found.data.tags["dvc.experiment"] == "tidy-name"
    assert found.data.metrics["psnr_db/Toy/b-n"] == 21.5
    assert [(p.step, p.value) for p in client.get_metric_history(found.info.run_id, "l1")] == [
        (20, 0.05),
        (40, 0.025),
    ]
    assert [file.path for file in client.list_artifacts(found.info.run_id, "tables")] == ["tables/psnr.md"]
    assert (tmp_path / "mlartifacts").is_dir()
    assert found.data.tags["mlflow.source.type"] == "LOCAL"
    assert found.data.tags["mlflow.source.name"].startswith("blindsr")
    experiment = client.get_experiment_by_name(tracking_store.EXPERIMENT)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_iteration_is_the_step_and_no_metric(client) -> None:
    with tracking.open_run("net-rff-0", "key1", {"degradation.b+n": 1}) as run:
        run.metrics(20, {"iteration": 20, "learning_rate": 1e-3, "l1": 0.5})
    (found,) = runs(client)
    assert list(found.data.metrics) == ["l1", "learning_rate"]  # MLflow draws the first when runs are compared
    assert found.data.params == {"degradation.b-n": "1"}  # MLflow takes no plus sign


def test_data_sets_are_named_once_with_their_hash(client) -> None:
    for _ in range(2):
        with tracking.open_run("net-rff-0", "key1", {}) as run:
            run.inputs([tracking.DataSet("photos", "0123abcd", "training")])
    (found,) = runs(client)
    ((dataset, tags),) = [(each.dataset, each.tags) for each in found.inputs.dataset_inputs]
    assert (dataset.name, dataset.digest) == ("photos", "0123abcd")
    assert [(tag.key, tag.value) for tag in tags] == [("mlflow.data.context", "training")]


def test_the_weights_are_a_model_that_mlflow_loads_and_runs(client, tmp_path: Path, monkeypatch) -> None:
    import mlflow

    torch.manual_seed(0)
    network = architecture.build_backbone("srresnet", {"num_blocks": 1, "num_features": 4}, 4).eval()
    info = weight_files.WeightsInfo(
        backbone="srresnet", hyper={"num_blocks": 1, "num_features": 4}, scale=4, regularizer="rff", seed=0,
        iterations=1, run="k"
    )  # fmt: skip
    weight_files.save(network, info, tmp_path / "w.safetensors")
    for _ in range(2):
        with tracking.open_run("net-rff-0", "key1", {"reg": "rff"}) as run:
            run.model(tmp_path / "w.safetensors", "blindsr.apps.mlflow_model")
            run.artifacts(tmp_path / "w.safetensors", "own")
    (found,) = runs(client)
    (output,) = found.outputs.model_outputs
    assert client.get_logged_model(output.model_id).params == {"reg": "rff"}  # its page shows them
    assert [file.path for file in client.list_artifacts(found.info.run_id, "own")] == ["own/w.safetensors"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_store.tracking_uri())
    loaded = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    lr = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), np.uint8)
    assert np.array_equal(loaded.predict(lr), np.stack(list(inference.upscale_rgb(network, list(lr), 4))))
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, -1, -1, 3)
    assert str(tmp_path) not in (tmp_path / "mlartifacts").joinpath(
        *Path(client.get_logged_model(output.model_id).artifact_location).parts[-3:], "MLmodel"
    ).read_text()  # fmt: skip


def test_a_copied_project_writes_nothing_into_the_old_one(client, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.md").write_text("a")
    with tracking.open_run("net-rff-0", "key1", {}) as run:
        run.artifacts(tmp_path / "tables")
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copyfile(tmp_path / "mlflow.db", copy / "mlflow.db")
    shutil.copytree(tmp_path / "mlartifacts", copy / "mlartifacts")
    monkeypatch.setenv("DVC_ROOT", str(copy))
    (tmp_path / "tables" / "b.md").write_text("b")
    with tracking.open_run("net-rff-1", "key2", {}) as run:
        run.artifacts(tmp_path / "tables")
    assert not list((tmp_path / "mlartifacts").rglob("b.md"))
    assert len(list((copy / "mlartifacts").rglob("b.md"))) == 1
    for found in runs(type(client)(tracking_store.tracking_uri())):
        assert found.info.artifact_uri.startswith((copy / "mlartifacts").as_uri())


def test_the_same_key_is_the_same_run_and_no_point_comes_twice(client) -> None:
    for _ in range(2):  # a resumed run gives its earlier points again
        with tracking.open_run("net-rff-0", "key1", {"reg": "rff"}) as run:
            run.metrics(20, {"iteration": 20, "learning_rate": 1e-3, "l1": 0.5})
            run.summary({"psnr_db/Toy/clean": 30.0})
    with tracking.open_run("net-rff-0", "key1", {"reg": "rff"}) as run:
        for step in (20, 40):
            run.metrics(step, {"iteration": step, "learning_rate": 1e-3, "l1": 0.5})
    (found,) = runs(client)
    assert [p.step for p in client.get_metric_history(found.info.run_id, "l1")] == [20, 40]
    assert len(client.get_metric_history(found.info.run_id, "psnr_db/Toy/clean")) == 1
    (before,) = runs(client)
    with tracking.open_run("net-rff-0", "key1", {"reg": "rff"}) as run:
        run.metrics(40, {"iteration": 40, "learning_rate": 1e-3, "l1": 0.5})
        run.summary({"psnr_db/Toy/clean": 30.0000004})  # as a file of scores has it
    (found,) = runs(client)
    assert found.info.end_time == before.info.end_time
    assert found.data.metrics == before.data.metrics
    with tracking.open_run("net-rff-0", "key2", {}):
        pass
    assert len(runs(client)) == 2


def test_the_duration_of_a_run_is_that_of_its_training_whenever_scores_are_added(client) -> None:
    with tracking.open_run("net-rff-0", "key1", {}) as run:
        run.metrics(20, {"l1": 0.5})
    (found,) = runs(client)
    client.set_terminated(found.info.run_id, "FINISHED", found.info.start_time + 1)  # long ago
    with tracking.open_run("net-rff-0", "key1", {}) as run:
        run.summary({"psnr_db/Toy/clean": 30.0})
    (found,) = runs(client)
    assert (found.info.status, found.info.end_time - found.info.start_time) == ("FINISHED", 1)
    with pytest.raises(ValueError, match="lost"), tracking.open_run("net-rff-0", "key1", {}):
        raise ValueError("lost")
    assert runs(client)[0].info.end_time > found.info.end_time
    with tracking.open_run("net-rff-0", "key1", {}):  # trained to its end now
        pass
    assert runs(client)[0].info.end_time > found.info.end_time


def test_hours_of_training_add_up_over_interruptions(client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(tracking.time, "monotonic", lambda: now[0])
    for begun, steps in ((1000.0, (10, 20)), (90000.0, (20, 30))):  # a day between; from the checkpoint at 10
        now[0] = begun
        with tracking.open_run("net-rff-0", "key1", {}) as run:
            hours = run.stopwatch()
            for step in steps:
                now[0] += 1800
                run.metrics(step, {"iteration": step, "learning_rate": 1e-3, "l1": 0.5} | hours())
    (found,) = runs(client)
    points = client.get_metric_history(found.info.run_id, "train_hours")
    assert [(point.step, point.value) for point in points] == [(10, 0.5), (20, 1.0), (30, 2.0)]


def test_a_run_that_fails_or_is_stopped_says_so_and_keeps_its_points(client) -> None:
    for error, status in (
        (ValueError(), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (Interrupted("stopped", 15), "KILLED"),
    ):
        key = type(error).__name__
        with pytest.raises(type(error)), tracking.open_run("x", key, {}) as run:
            run.metrics(20, {"l1": 0.5})
            raise error
        (found,) = [run for run in runs(client) if run.data.tags["blindsr.run"] == key]
        assert found.info.status == status
        assert found.data.metrics["l1"] == 0.5


def test_a_finished_run_that_is_killed_while_it_is_made_again_stays_finished(client) -> None:
    with tracking.open_run("x", "key", {}) as run:
        run.metrics(20, {"l1": 0.5})
    (before,) = runs(client)
    with pytest.raises(Interrupted), tracking.open_run("x", "key", {}) as run:
        run.metrics(20, {"l1": 0.5})
        raise Interrupted("stopped", 15)
    (found,) = runs(client)
    assert (found.info.status, found.info.end_time) == ("FINISHED", before.info.end_time)


def test_a_point_is_never_cut_in_two_by_the_size_of_a_request(client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "BATCH", 5)
    with tracking.open_run("x", "key", {}) as run:
        sent: list[list[int]] = []
        send = run._client.log_batch
        monkeypatch.setattr(
            run._client,
            "log_batch",
            lambda run_id, metrics: (sent.append([m.step for m in metrics]), send(run_id, metrics=metrics)),
        )
        for step in (20, 40, 60):
            run.metrics(step, {"l1": 0.5, "penalty": 0.1})
        run.flush()
        run.summary({f"psnr_db/{number}": 1.0 for number in range(7)})
    assert sent == [[20, 20, 40, 40], [60, 60], [0] * 5, [0] * 2]
    (found,) = runs(client)
    assert len(found.data.metrics) == 9


def test_a_process_that_does_not_track_leaves_nothing(client) -> None:
    with tracking.open_run("x", "key", {}, on=False) as run:
        run.metrics(20, {"l1": 0.5})
    assert client.get_experiment_by_name(tracking_store.EXPERIMENT) is None


@pytest.mark.needs("mlflow")
def test_an_unreachable_server_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port: refused at once
    with caplog.at_level(logging.WARNING), tracking.open_run("x", "key", {"a": 1}) as run:
        run.metrics(20, {"l1": 0.5})
        run.summary({"psnr_db": 1.0})
        run.artifacts(tmp_path)
    mine = [record for record in caplog.records if record.name == "blindsr.runtime.tracking"]
    assert len(mine) == 1
    assert "does not answer" in mine[0].getMessage()
    assert "blindsr runs sync" in mine[0].getMessage()


def test_without_git_a_run_is_tracked_without_a_revision(client, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with tracking.open_run("x", "key", {}) as run:
        run.metrics(20, {"l1": 0.5})
    (found,) = runs(client)
    assert found.data.metrics == {"l1": 0.5}
    assert found.data.tags["git.revision"] == ""


def test_what_is_not_finite_is_left_out(client) -> None:
    """Not every store takes NaN, and SQLite keeps infinity as 1.8e308."""
    with tracking.open_run("x", "key", {}) as run:
        run.metrics(20, {"l1": 0.5, "psnr_db_clean": math.inf, "penalty": math.nan})
        run.summary({"psnr_db/Toy/clean": math.inf, "ssim/Toy/clean": 1.0})
    (found,) = runs(client)
    assert found.data.metrics == {"l1": 0.5, "ssim/Toy/clean": 1.0}


def test_without_mlflow_there_is_one_warning_and_what_asks_for_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with caplog.at_level(logging.WARNING), tracking.open_run("x", "key", {"a": 1}) as run:
        run.metrics(20, {"l1": 0.5} | run.stopwatch()())
        run.summary({"psnr_db": 1.0})
        run.artifacts(tmp_path)
    said = "mlflow is not installed: runs are not tracked; `blindsr runs sync` publishes them later"
    assert [record.getMessage() for record in caplog.records] == [said]
    assert not list(tmp_path.iterdir())
    store = f"sqlite:///{tmp_path}/mlflow.db"
    says = "`blindsr runs` needs mlflow, which is not installed: pip install mlflow"
    with pytest.raises(UserError, match=says), tracking.open_run("x", "key", {}, store=store):
        pass
    with pytest.raises(UserError, match=says):
        tracking_store.connect(store, new=True)


def test_a_server_that_is_lost_midway_does_not_stop_the_work(
    client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), tracking.open_run("x", "key", {}) as run:

        def lost(*arguments, **more) -> None:
            raise ConnectionError("gone")

        monkeypatch.setattr(type(client), "log_batch", lost)
        for step in range(5):
            run.metrics(step, {"l1": 0.5})
            run.flush()
    assert caplog.text.count("does not answer (gone)") == 1
