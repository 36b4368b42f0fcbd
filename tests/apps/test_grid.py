"""Runs side by side through the real DVC, in a project whose stages are stand-ins."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from blindsr.apps import cluster, grid
from blindsr.apps.grid import RunState
from blindsr.config import params
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.runtime import lifetime
from blindsr.runtime.errors import UserError
from blindsr.stages import train
from blindsr.training import checkpoint

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def read(project: Path) -> Params:
    return params.read()


def test_runs_run_at_the_same_time_each_on_its_gpu(
    project: Path, read: Params, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [str(state) for state in grid.states(read)] == ["todo", "todo"]
    grid.run(read)  # each waits for the other
    assert [str(state) for state in grid.states(read)] == ["done", "done"]
    gpus = {(project / "out" / f"train-srresnet-{reg}-0.started").read_text() for reg in ("none", "rff")}
    assert gpus == {"3", "5"}
    assert "nothing is left: `dvc repro` writes the tables" in capfd.readouterr().out
    done = subprocess.run([sys.executable, "-m", "dvc", "status"], capture_output=True, text=True, check=True)
    assert "up to date" in done.stdout  # both runs are in dvc.lock


def test_runs_that_make_batches_come_before_those_that_read_them() -> None:
    committed = params.read(ROOT / "params.yaml")
    runs = [f"srresnet-{reg}-0" for reg in ("none", "dropout", "brute_force", "linear", "rff", "rff_released")]
    assert [run.name for run in grid.in_turn(committed)] == [
        runs[0],
        runs[2],
        runs[1],
        *runs[3:],
    ]  # one view, two views
    none_kept = committed.model_copy(update={"runtime": committed.runtime.model_copy(update={"keep_batches": False})})
    assert [run.name for run in grid.in_turn(none_kept)] == runs


def test_every_seed_has_a_run_that_makes_its_batches_first() -> None:
    committed = params.read(ROOT / "params.yaml")
    seeds = committed.model_copy(update={"seeds": [0, 1]})
    names = [run.name for run in grid.in_turn(seeds)]
    assert names[:4] == ["srresnet-none-0", "srresnet-none-1", "srresnet-brute_force-0", "srresnet-brute_force-1"]
    assert sorted(names) == sorted(run.name for run in seeds.runs)


def test_runs_share_a_gpu(project: Path, read: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    grid.run(read, per_device=2)  # each waits for the other
    for reg in ("none", "rff"):
        assert (project / "out" / f"train-srresnet-{reg}-0.started").read_text() == "7"


@pytest.mark.parametrize(
    ("gpus", "jobs", "per_device", "places"),
    [
        ("", None, 1, [None]),
        ("", 3, 1, [None] * 3),
        ("", None, 2, [None] * 2),
        ("", 3, 2, [None] * 3),  # jobs is the number altogether
        ("ab", None, 1, ["a", "b"]),
        ("ab", 1, 1, ["a"]),
        ("ab", None, 3, ["a", "b", "a", "b", "a", "b"]),
        ("ab", 3, 2, ["a", "b", "a"]),
    ],
)
def test_runs_are_shared_among_the_devices(
    gpus: str, jobs: int | None, per_device: int, places: list[str | None]
) -> None:
    assert grid.slots(list(gpus), jobs, per_device) == places


def test_more_jobs_than_fit_on_the_gpus_are_refused() -> None:
    with pytest.raises(UserError, match="2 GPUs take 4 runs .* --per-device 2: give --per-device 3, or fewer jobs"):
        grid.slots(["0", "1"], 5, 2)


def test_settings_for_the_cpu_take_no_gpu(project: Path, read: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    read = read.model_copy(update={"runtime": read.runtime.model_copy(update={"device": "cpu"})})
    asked: list[Any] = []
    monkeypatch.setattr(grid, "slots", lambda gpus, jobs, per_device: asked.append(gpus) or [None])
    monkeypatch.setattr(grid, "unfinished", lambda given: {})
    grid.run(read, 4)
    assert asked == [[]]


def test_a_run_that_fails_does_not_stop_the_others(project: Path, read: Params) -> None:
    (project / "how").write_text("fail")
    with pytest.raises(UserError, match=r"1 of 2 runs failed: srresnet-rff-0; their logs are in .*grid"):
        grid.run(read, 1)
    first, second = grid.states(read)
    assert str(first) == "done"
    assert not second.trained
    assert "error: this run fails" in (project / ".train_state" / "grid" / "srresnet-rff-0.log").read_text()


@pytest.mark.slow
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
    assert error.endswith("error: stopped: the same command resumes from here\n")
    assert output.count("failed (") == 2  # DVC takes no run as done
    assert not (project / "out" / "train-srresnet-rff-0").exists()


def test_stages_know_the_grid_that_started_them(project: Path, read: Params) -> None:
    """So that they stop when it is killed, since nobody would wait for them."""
    (project / "how").write_text("go")
    (project / "stand_in.py").write_text(
        "import os, sys\nfrom pathlib import Path\nPath('out').mkdir(exist_ok=True)\n"
        "Path('out', '-'.join(sys.argv[1:])).write_text(os.environ['BLINDSR_STARTED_BY'])\n"
    )
    grid.run(read, 2)
    said = {path.read_text() for path in (project / "out").iterdir()}
    assert said == set(lifetime.started_here().values())


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


@pytest.mark.slow
@pytest.mark.needs("submitit")
def test_jobs_of_a_cluster_make_the_runs(project: Path, read: Params) -> None:
    """By submitit's executor for the machine at hand, which runs its jobs as SLURM's does."""
    submitted = cluster.submit(read, 2, {"timeout_min": "5"}, cluster="local")
    for job in submitted:
        job.result()
    assert [str(state) for state in grid.states(read)] == ["done", "done"]
    job = cluster.Job("srresnet-rff-0", ["train"])
    assert job.checkpoint().function is job  # what submitit takes when the time is over


@pytest.mark.needs("submitit")
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
