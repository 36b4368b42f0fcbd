"""Cells side by side through the real DVC, in a project whose stages are stand-ins; and what they would cost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from blindsr.acquisition import patch_builder
from blindsr.apps import cluster, grid, plan
from blindsr.apps.grid import RunState
from blindsr.config import conf, params
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.data.images import write_png
from blindsr.data.indices import IndexedImage
from blindsr.runtime.errors import UserError
from blindsr.stages import train
from blindsr.training import checkpoint

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
    """A DVC project with two runs, whose stages take no time."""
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


@pytest.fixture
def read(project: Path) -> Params:
    return params.read()


def test_runs_run_at_the_same_time_each_on_its_gpu(
    project: Path, read: Params, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [str(state) for state in grid.states(read)] == ["todo", "todo"]
    grid.run(read, 2)  # each waits for the other
    assert [str(state) for state in grid.states(read)] == ["done", "done"]
    gpus = {(project / "out" / f"train-srresnet-{reg}-0.started").read_text() for reg in ("none", "rff")}
    assert gpus == {"3", "5"}
    assert "nothing is left: `dvc repro` writes the tables" in capfd.readouterr().out
    done = subprocess.run([sys.executable, "-m", "dvc", "status"], capture_output=True, text=True, check=True)
    assert "up to date" in done.stdout  # both runs are in dvc.lock


def test_a_run_that_fails_does_not_stop_the_others(project: Path, read: Params) -> None:
    (project / "how").write_text("fail")
    with pytest.raises(UserError, match=r"1 of 2 runs failed: srresnet-rff-0; their logs are in .*grid"):
        grid.run(read, 1)
    first, second = grid.states(read)
    assert str(first) == "done"
    assert not second.trained
    assert "error: this run fails" in (project / ".train_state" / "grid" / "srresnet-rff-0.log").read_text()


def test_a_signal_reaches_the_trainings(project: Path) -> None:
    (project / "how").write_text("wait")
    command = [sys.executable, "-c", "from blindsr.cli import main; main()", "grid", "--jobs", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while len(list(project.glob("out/train-*.started"))) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 143
    assert error.endswith("error: stopped: the same command goes on from here\n")
    assert output.count("failed (") == 2  # DVC takes no run as done
    assert not (project / "out" / "train-srresnet-rff-0").exists()


def test_states_say_how_far_a_run_is(project: Path, read: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "data" / "patches").mkdir(parents=True)
    (project / "data" / "patches" / "index.json").write_text("{}")
    folder = train.state_folder(read, Run("srresnet", "rff", 0))
    checkpoint.save(folder, 400, {"iteration": 400})
    assert [str(state) for state in grid.states(read)] == ["todo", "partial: iteration 400"]
    assert str(RunState(("evaluate", "analyse"), 0)) == "trained, without evaluate, analyse"
    (project / "dvc.yaml").write_text("stages: [")
    with pytest.raises(UserError, match="`dvc status` failed"):
        grid.states(read)


def test_the_plan_counts_operations_and_hours(
    tmp_path: Path,
    read: Params,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    index_images: Callable[[Path], list[IndexedImage]],
) -> None:
    (tmp_path / "own").mkdir()
    write_png(tmp_path / "own/a.png", torch.randint(0, 256, (200, 200, 3), dtype=torch.uint8).numpy())
    patch_builder.build(
        index_images(tmp_path / "own"), tmp_path / "own", tmp_path / "data/patches",
        size=192, step=96, scale=4, smallest=64, state=tmp_path / "state", workers=1,
    )  # fmt: skip
    small = {
        "backbone": read.backbone.model_copy(update={"hyper": {"srresnet": {"num_blocks": 1, "num_features": 4}}})
    }
    read = read.model_copy(update=small)
    cost = plan.probe(read, Run("srresnet", "none", 0))
    # the convolutions at LR (16 px) and HR, 8 images, twice that backwards, less the gradient of the input
    lr, hr = 16**2, 64**2
    channels = [
        (3 * 4 * lr, 1),
        (4 * 4 * lr, 2),
        (4 * 16 * lr, 1),
        (4 * 16 * 4 * lr, 1),
        (4 * 4 * hr, 1),
        (4 * 3 * hr, 1),
    ]
    products = sum(size * count for size, count in channels)
    assert cost.flops == 8 * 2 * 9 * (3 * products - 3 * 4 * lr)
    assert cost.seconds > 0

    monkeypatch.setattr(plan, "probe", lambda *run: plan.Cost(10**9, 3.6))
    monkeypatch.setattr(grid, "states", lambda given: [RunState((), 0), RunState(("train",), 400)])
    plan.show(read)
    shown = capsys.readouterr().out
    assert "done" in shown
    assert "6e+11" in shown  # 600 iterations are left
    assert "0.60 hours of training left on one device (CPU, 1 threads and 0 workers)" in shown


def test_jobs_of_a_cluster_make_the_runs(project: Path, read: Params) -> None:
    """By submitit's executor for the machine at hand, which runs its jobs as SLURM's does."""
    submitted = cluster.submit(read, 2, {"timeout_min": "5"}, cluster="local")
    for job in submitted:
        job.result()
    assert [str(state) for state in grid.states(read)] == ["done", "done"]
    job = cluster.Job("srresnet-rff-0", ["train"])
    assert job.checkpoint().function is job  # what submitit takes when the time is over


def test_settings_of_the_cluster_are_checked(project: Path, read: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.parse(["timeout_min=60", "slurm_partition=gpu"]) == {"timeout_min": "60", "slurm_partition": "gpu"}
    with pytest.raises(UserError, match="takes KEY=VALUE, such as timeout_min=1440, not 'gpu'"):
        cluster.parse(["gpu"])
    monkeypatch.setattr(grid, "unfinished", lambda given: {})
    with pytest.raises(UserError, match="submitit cannot submit: .*partitoin"):
        cluster.submit(read, 1, {"slurm_partitoin": "gpu"}, cluster="local")
    monkeypatch.setenv("PATH", str(project))
    with pytest.raises(UserError, match="submitit cannot submit: .*srun"):
        cluster.submit(read, 1, {})
    assert os.environ["PATH"] == str(project)
