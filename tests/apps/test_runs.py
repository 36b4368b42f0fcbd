"""runs: made complete from files, published to a real server on PostgreSQL, and written as one CSV."""

import csv
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
import yaml

import mlflow_server
from blindsr.apps import runs
from blindsr.config import conf, params
from blindsr.config.run import Run
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import paths, tracking, tracking_store
from blindsr.runtime.errors import UserError
from blindsr.stages import train

ROOT = Path(__file__).resolve().parents[2]
RUN = "srresnet-rff-0"
Store = Callable[[str], str]


def write_project() -> params.Params:
    """What a `dvc pull` brings of a grid of two runs of which one is trained."""
    settings = params.parse(conf.compose(ROOT / "conf", ["reg=rff", "seeds=[0,1]", "train.iterations=40"]))
    Path("params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_unset=True)))
    for path, text in (
        (paths.PATCHES / "index.json", "{}"),
        (paths.CURVES / f"{RUN}.csv", "iteration,l1,validation\n20,0.5,\n40,0.25,30.5\n"),
        (paths.SCORES / f"{RUN}.csv", scores(31.0)),
        (paths.SCORES / "bicubic.csv", scores(30.0)),
        (paths.TABLES / "psnr_db.md", "# psnr"),
        (paths.METRICS, "{}"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_weights(train.run_key(settings, Run("srresnet", "rff", 0)))
    return settings


def scores(psnr_db: float) -> str:
    return f"benchmark,case,image,psnr_db,psnr_y_db,ssim,lpips\nToy,b+n,a,{psnr_db},{psnr_db + 1},0.9,\n"


def write_weights(key: str) -> None:
    hyper = {"num_blocks": 1, "num_features": 4}
    info = WeightsInfo(
        backbone="srresnet", hyper=hyper, scale=4, regularizer="rff", seed=0, iterations=40, run=key
    )  # fmt: skip
    torch.manual_seed(0)
    weight_files.save(architecture.build_backbone("srresnet", hyper, 4), info, paths.MODELS / f"{RUN}.safetensors")


def by_name(uri: str) -> dict[str, object]:
    return {run.info.run_name: run for run in tracking_store.runs(tracking_store.connect(uri))}


def test_sync_makes_the_store_complete_from_files_and_then_changes_nothing(store: Store, capsys) -> None:
    own = store("mlflow")
    settings = write_project()
    runs.sync(settings)
    assert capsys.readouterr().out == f"srresnet-rff-1: not trained yet, left out\nall in {own}\n"
    found = by_name(own)
    assert set(found) == {RUN, "bicubic", "report-embedded"}
    run = found[RUN]
    assert run.info.status == "FINISHED"
    assert run.data.params["train.iterations"] == "40"
    assert run.data.params["reg.weight"] == "100"
    assert run.data.params["reg.hyper.sigma"] == "1"
    assert run.data.metrics["psnr_db/Toy/b-n"] == 31.0
    assert run.data.metrics["validation"] == 30.5
    client = tracking_store.connect(own)
    assert [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, "l1")] == [(20, 0.5), (40, 0.25)]
    tables = client.list_artifacts(found["report-embedded"].info.run_id, "tables")
    assert [item.path for item in tables] == ["tables/psnr_db.md"]

    def kept() -> list[str]:
        folders = [(run, folder) for run in found.values() for folder in ("curves", "scores")]
        return [item.path for run, folder in folders for item in client.list_artifacts(run.info.run_id, folder)]

    assert kept() == [f"curves/{RUN}.csv", f"scores/{RUN}.csv", "scores/bicubic.csv"]
    (model,) = client.get_run(run.info.run_id).outputs.model_outputs
    runs.sync(settings)
    assert [each.model_id for each in client.get_run(run.info.run_id).outputs.model_outputs] == [model.model_id]
    assert len(kept()) == 3
    again = by_name(own)
    assert again[RUN].info.end_time == run.info.end_time
    assert again["bicubic"].info.end_time == found["bicubic"].info.end_time
    assert len(list(tracking_store.runs(client))) == 3


@pytest.mark.parametrize("path", [paths.CURVES / f"{RUN}.csv", paths.ANALYSIS / RUN / "cost.csv"])
@pytest.mark.parametrize("text", ["", "iteration,l1\nsoon,0.5\n", "step,l1\n20,0.5\n"])
@pytest.mark.usefixtures("store")
def test_a_damaged_record_is_one_line(path: Path, text: str) -> None:
    settings = write_project()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(UserError, match=rf"{path.name} is (damaged.*|empty): delete it and"):
        runs.sync(settings, "http://127.0.0.1:9")  # nothing is sent


def test_settings_that_are_not_those_of_the_weights_are_not_said_of_them(store: Store) -> None:
    own = store("mlflow")
    settings = write_project()
    write_weights("another-run")
    runs.sync(settings)
    assert by_name(own)[RUN].data.params == {"backbone": "srresnet", "reg": "rff", "seed": "0"}
    (paths.PATCHES / "index.json").unlink()  # the weights alone were pulled
    write_weights("a-third")
    runs.sync(settings)
    assert len(list(tracking_store.runs(tracking_store.connect(own)))) == 4


def test_sync_to_where_nobody_answers_fails_with_one_line(store: Store) -> None:
    settings = write_project()
    with pytest.raises(UserError, match=r"MLflow at http://127\.0\.0\.1:9 cannot be used"):
        runs.sync(settings, "http://127.0.0.1:9")
    store("mlflow")
    with pytest.raises(UserError, match=r"MLflow at http://127\.0\.0\.1:9 cannot be used"):
        runs.sync(settings, "http://127.0.0.1:9")


def test_export_writes_a_row_per_run_with_all_that_any_of_them_has(store: Store, capsys) -> None:
    store("mlflow")
    with tracking.open_run("a-rff-0", "key1", {"reg": "rff"}) as run:
        run.metrics(20, {"l1": 0.5})
        run.metrics(40, {"l1": 0.1 + 0.2})
    with tracking.open_run("b,none-0", "key2", {"reg": "none", "train.batch": 8}, {"note": "two\nlines"}) as run:
        run.summary({"psnr_db/Toy/b+n": 21.5})
    runs.export(Path("made/runs.csv"))
    assert capsys.readouterr().out == "2 runs: made/runs.csv\n"
    with open("made/runs.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == [
        "run", "status", "start", "seconds", "params.reg", "params.train.batch", "metrics.l1",
        "metrics.psnr_db/Toy/b-n", "tags.blindsr.run", "tags.dvc.experiment", "tags.git.revision", "tags.note",
    ]  # fmt: skip
    assert (first["run"], first["metrics.l1"], first["params.train.batch"]) == ("a-rff-0", "0.30000000000000004", "")
    assert (second["run"], second["metrics.psnr_db/Toy/b-n"]) == ("b,none-0", "21.5")
    assert second["tags.note"] == "two\nlines"
    assert first["status"] == "FINISHED"
    assert first["start"].endswith("Z")
    assert float(first["seconds"]) >= 0


def test_export_without_runs_says_how_to_get_some(store: Store) -> None:
    with pytest.raises(UserError, match=r"mlflow\.db is not there: `dvc repro` records runs"):
        store("other")
        runs.export(Path("runs.csv"))
    store("mlflow")
    with pytest.raises(UserError, match="no runs in"):
        runs.export(Path("runs.csv"))
    assert not Path("runs.csv").exists()


def test_the_ui_of_a_server_is_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://team:5000")
    with pytest.raises(UserError, match="open https://team:5000 in a browser"):
        runs.ui(5000)


@pytest.mark.slow
def test_a_teams_server_on_postgresql_gets_all_runs_once_and_gives_them_as_csv(store: Store, tmp_path: Path) -> None:
    """The command line on a real server and database: runs of experiments, and a pulled grid."""
    own = store("mlflow")
    write_project()
    with tracking.open_run("srresnet-none-7", "an-experiment", {"reg": "none", "odd": "naïve 'quoted' 100%"}) as run:
        for step in range(1, 1201):  # two requests
            run.metrics(step, {"l1": 1 / step})
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}

    def blindsr(*arguments: str) -> str:
        command = [sys.executable, "-c", "from blindsr.cli import main; main()", *arguments]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    with (
        mlflow_server.postgres() as database,
        mlflow_server.mlflow_server(database, tmp_path / "artifacts") as server,
    ):
        left_out = "srresnet-rff-1: not trained yet, left out\n"
        assert blindsr("runs", "sync", "--tracking-uri", server) == f"1 new\n{left_out}all in {server}\n"
        assert blindsr("runs", "sync", "--tracking-uri", server) == f"1 there already\n{left_out}all in {server}\n"
        there, here = by_name(server), by_name(own)
        assert set(there) == {"srresnet-none-7", RUN, "bicubic", "report-embedded"}
        assert there["srresnet-none-7"].data.params == {"reg": "none", "odd": "naïve 'quoted' 100%"}
        assert there["srresnet-none-7"].info.end_time == here["srresnet-none-7"].info.end_time
        client = tracking_store.connect(server)
        history = client.get_metric_history(there["srresnet-none-7"].info.run_id, "l1")
        assert [(point.step, point.value) for point in history] == [(step, 1 / step) for step in range(1, 1201)]
        assert there[RUN].data.metrics["psnr_db/Toy/b-n"] == 31.0
        table = client.list_artifacts(there["report-embedded"].info.run_id, "tables")
        assert [item.path for item in table] == ["tables/psnr_db.md"]
        assert len(list((tmp_path / "artifacts").rglob("psnr_db.md"))) == 1
        assert blindsr("runs", "export", "all.csv", "--tracking-uri", server) == "4 runs: all.csv\n"
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 5


@pytest.mark.slow
def test_the_ui_serves_the_runs_at_the_address_that_it_prints_and_ends_with_the_command(store: Store) -> None:
    own = store("mlflow")
    with tracking.open_run("net-rff-0", "key", {"reg": "rff"}) as run:
        run.summary({"psnr_db": 25.0})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-u", "-m", "blindsr", "runs", "ui", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": own}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        said = ""
        while "startup complete" not in said:
            line = server.stdout.readline()
            assert line, said
            said += line
        experiment = tracking_store.connect(own).get_experiment_by_name(tracking_store.EXPERIMENT).experiment_id
        page = f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?workflowType=machine_learning"
        assert f"open {page} in a browser" in said
        assert len(psutil.Process(server.pid).children(recursive=True)) == 1  # one worker, and no jobs
        with pytest.raises(UserError, match=f"port {port} cannot be used .*--port"):
            runs.ui(port)
        asked = json.dumps({"experiment_ids": [experiment], "order_by": ["metrics.psnr_db DESC"]}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/search", asked, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            (found,) = json.load(answer)["runs"]
        assert found["info"]["run_name"] == "net-rff-0"
        assert found["data"]["metrics"][0]["value"] == 25.0
        server.terminate()
        assert server.wait(60) == 0
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    finally:
        server.kill()
        server.wait()
