"""The pipeline as a user runs it, in copies of this project with a tiny profile: DVC, conf/, plug-ins, bytes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TINY = """# @package _global_
defaults:
  - embedded
  - override /reg: two
  - _self_
profile: tiny
backbone: {hyper: {srresnet: {num_blocks: 1, num_features: 4}}}
train: {iterations: 4, batch: 4, crop: 32, window: 80, log_every: 2}
analyse: {images: 1, contents: 4, interaction: {crops: 2, contexts: 2}}
gallery: {crop: 48}
runtime: {workers: 0, checkpoint_every: 2}
"""
TWO = "defaults: [none, rff, _self_]\nnames: [none, rff]\n"
# for the training: what a lost machine, or Ctrl-C in a terminal, does to all processes of the command in a step
SIGNAL = """
import os, sys
if sys.orig_argv[2:4] == ["train", "srresnet"]:
    from blindsr.training.step import Stepper
    step, count = Stepper.__call__, []
    def dying(*arguments, **more):
        count.append(1)
        if len(count) == {step}:
            os.killpg(0, {number})
        return step(*arguments, **more)
    Stepper.__call__ = dying
"""
RESULTS = ("dvc.lock", "reports/metrics.json", "reports/summary.json", "reports/tables", "reports/plots")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("dvc", "mlflow", "hydra", "sklearn"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a git checkout to copy"),
]


class Project:
    """A copy of this project at `root`; commands run in it, on its own code."""

    def __init__(self, root: Path, of: "Project | None" = None) -> None:
        """A new project, or a git clone `of` another one."""
        self.root = root
        if of:
            of("git", "clone", "-q", str(of.root), str(root))
            return
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, root / name)
        (root / "dvc.lock").unlink(missing_ok=True)
        config = root / "conf" / "config.yaml"
        config.write_text(config.read_text().replace("- profile: embedded", "- profile: tiny"))
        (root / "conf" / "profile" / "tiny.yaml").write_text(TINY)
        (root / "conf" / "reg" / "two.yaml").write_text(TWO)
        self("git", "init", "-q", "-b", "main")
        self("git", "config", "user.name", "test")
        self("git", "config", "user.email", "test@example.org")
        self("blindsr", "params")
        self.commit("start")

    def __call__(self, *command: str, fails: bool = False, **variables: str) -> str:
        """Run a command, in a session of its own; its stdout and stderr together."""
        environment = {
            **os.environ,
            **variables,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "OMP_NUM_THREADS": "1",
        }
        for variable in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI"):
            environment.pop(variable, None)
        done = subprocess.run(
            command, cwd=self.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, start_new_session=True,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def commit(self, message: str) -> None:
        self("git", "add", "-A")
        self("git", "commit", "-q", "-m", message)

    def results(self) -> dict[str, bytes]:
        """Bytes of everything that must not differ between two clones."""
        found = {}
        for name in RESULTS:
            path = self.root / name
            for file in [path] if path.is_file() else sorted(path.rglob("*")):
                found[str(file.relative_to(self.root))] = file.read_bytes()
        lock = yaml.safe_load(found["dvc.lock"])  # its order is that in which stages ran first
        found["dvc.lock"] = json.dumps(lock, sort_keys=True).encode()
        return found

    def metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        return json.loads((self.root / "reports" / "metrics.json").read_text())

    def mlflow_runs(self) -> dict[str, object]:
        """Run name -> run of the project's MLflow store."""
        from mlflow.tracking import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("blindsr")
        return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which `dvc repro` has run and its results are committed."""
    project = Project(tmp_path_factory.mktemp("one"))
    project("dvc", "repro")
    project.commit("first results")
    return project


def test_tables_metrics_figures_and_runs_are_there(project: Project) -> None:
    assert set(project.metrics()) == {"bicubic", "bilinear", "srresnet-none", "srresnet-rff"}
    detail = {"detail_cosine", "detail_amplitude", "psnr_best_db"}
    assert set(project.metrics()["srresnet-rff"]) == {"psnr_db", "psnr_y_db", "ssim"} | detail  # no LPIPS trunk here
    assert len(project.metrics()["bicubic"]["psnr_db"]) == 9
    table = (project.root / "reports" / "tables" / "psnr_db.md").read_text()
    assert "profile tiny, 4 iterations" in table
    assert "not the paper's experiment" in table
    for name in (
        "improvement",
        "learning_curves",
        "frequency",
        "regularizers",
        "separation",
        "planes",
        "interaction",
    ):
        assert (project.root / "reports" / "figures" / f"{name}.svg").stat().st_size > 5000
    runs = project.mlflow_runs()
    assert {"srresnet-none-0", "srresnet-rff-0", "bicubic", "report-tiny"} <= set(runs)
    metrics = runs["srresnet-rff-0"].data.metrics
    assert {"l1", "penalty", "view_distance", "psnr_db/embedded_test/b-n-j"} <= set(metrics)
    assert {"train_hours", "lr_images_seen", "training_tflop"} <= set(metrics)


def test_nothing_to_do_says_so_and_changes_nothing(project: Project) -> None:
    assert "up to date" in project("dvc", "repro")
    assert project("git", "status", "--short") == ""


def test_a_pull_brings_a_clone_all_that_was_made(project: Project, tmp_path: Path) -> None:
    """Word for word what the README says of sharing; then nothing runs, and MLflow can be made complete."""
    remote = ("dvc", "remote", "add", "--local", "--force", "-d", "team", str(tmp_path / "remote"))
    project(*remote)
    assert "pushed" in project("dvc", "push")
    assert project("dvc", "push").strip() == "Everything is up to date."
    clone = Project(tmp_path / "clone", of=project)
    clone(*remote)
    clone("dvc", "pull")
    assert "Running stage" not in clone("dvc", "repro")
    assert clone("git", "status", "--short") == ""
    assert clone.results() == project.results()
    assert not (clone.root / "mlflow.db").exists()
    clone("blindsr", "runs", "sync")
    there, here = clone.mlflow_runs(), project.mlflow_runs()
    for name in ("srresnet-none-0", "srresnet-rff-0", "bicubic", "report-tiny"):
        assert there[name].data.params == here[name].data.params
        known = {key: value for key, value in here[name].data.metrics.items() if key != "train_hours"}  # in no file
        assert known == pytest.approx({key: there[name].data.metrics.get(key) for key in known}, abs=1e-6)
        assert there[name].data.tags["blindsr.run"] == here[name].data.tags["blindsr.run"]
    project("blindsr", "runs", "sync")  # where all is there, nothing changes
    for name in ("srresnet-none-0", "srresnet-rff-0", "bicubic"):
        assert project.mlflow_runs()[name].info.end_time == here[name].info.end_time


@pytest.fixture
def s3() -> Iterator[str]:
    """Address of a server that speaks S3, with the bucket `team`."""
    requests = pytest.importorskip("requests")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        requests.put(f"http://{host}:{port}/team", timeout=30).raise_for_status()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def test_a_bucket_takes_all_that_was_made_and_gives_it_back(project: Project, tmp_path: Path, s3: str) -> None:
    team = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    configure = [
        ("dvc", "remote", "add", "--local", "--force", "-d", "team", "s3://team/blindsr"),
        ("dvc", "remote", "modify", "--local", "team", "endpointurl", s3),
    ]
    clone = Project(tmp_path / "clone", of=project)
    for command in configure:
        project(*command)
        clone(*command)
    assert "pushed" in project("dvc", "push", **team)
    clone("dvc", "pull", **team)
    assert "up to date" in clone("dvc", "status")
    assert clone.results() == project.results()


def test_another_clone_whose_training_is_killed_and_stopped_gives_the_same_bytes(
    project: Project, tmp_path: Path
) -> None:
    other, cell = Project(tmp_path / "another" / "place"), "srresnet-rff-0"
    hook = other.root / "src" / "sitecustomize.py"
    states = other.root / ".train_state"
    # in the fourth of four iterations; then in the first one after the checkpoint
    for step, number, left in ((4, signal.SIGKILL, "2"), (1, signal.SIGINT, "3")):
        hook.write_text(SIGNAL.format(step=step, number=int(number)))
        other("dvc", "repro", f"train@{cell}", fails=True)
        assert max(path.name for path in states.glob("*/*.pt")).startswith(left.zfill(9))
    hook.unlink()
    assert f"Running stage 'train@{cell}'" in other("dvc", "repro", f"train@{cell}")
    for made in (f"models/{cell}.safetensors", f"reports/curves/{cell}.csv"):
        assert (other.root / made).read_bytes() == (project.root / made).read_bytes()
    from mlflow.tracking import MlflowClient

    run, client = other.mlflow_runs()[cell], MlflowClient(f"sqlite:///{other.root / 'mlflow.db'}")
    assert [point.step for point in client.get_metric_history(run.info.run_id, "l1")] == [2, 4]
    other("dvc", "repro", f"evaluate@{cell}")
    scores = f"reports/scores/{cell}.csv"
    assert (other.root / scores).read_bytes() == (project.root / scores).read_bytes()


def test_wrong_names_and_values_fail_before_anything_is_computed(project: Project) -> None:
    before = project.results()
    for override, says in (
        ("reg=rfff", r"rff_released"),
        ("train.iteration=3", r"iteration"),
        ("train.iterations=-3", r"train\.iterations: Input should be greater than or equal to 1 \(got -3\)"),
    ):
        output = project("dvc", "exp", "run", "-S", override, fails=True)
        assert re.search(says, output), output
    project("git", "checkout", "params.yaml", "dvc.lock")
    assert project.results() == before


def test_a_hand_edit_of_params_yaml_is_caught_with_the_mend(project: Project) -> None:
    path = project.root / "params.yaml"
    path.write_text(path.read_text().replace("iterations: 4", "iterations: 6"))
    output = project("dvc", "repro", fails=True)
    assert "params.yaml differs from conf/ in train.iterations: run `make params`" in output
    project("blindsr", "params")
    assert "Running stage" not in project("dvc", "repro")


def blocks(language: str) -> list[str]:
    """Code blocks of CONTRIBUTING.md."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


def test_a_regularizer_and_a_backbone_of_ones_own_are_a_file_and_a_conf_entry_each(project: Project) -> None:
    """Word for word what CONTRIBUTING.md says; nothing that was trained is trained again."""
    for kind, name, begins in (("regularizer", "deviation", "_Deviation"), ("backbone", "plain", "class _Plain")):
        source = next(block for block in blocks("python") if begins in block)
        settings = next(block for block in blocks("yaml") if f"names: [{name}]" in block)
        (project.root / "src" / "blindsr" / "plugins" / f"{kind}s" / f"{name}.py").write_text(source)
        group = {"regularizer": "reg", "backbone": "backbone"}[kind]
        (project.root / "conf" / group / f"{name}.yaml").write_text(settings)
    trained = project("dvc", "exp", "run", "-n", "own-parts", "-S", "reg=deviation", "-S", "backbone=plain")
    assert "train@plain-deviation-0" in trained
    assert "Running stage 'train@srresnet" not in trained
    assert set(project.metrics()) == {"bicubic", "bilinear", "plain-deviation"}
    assert "plain-deviation-0" in project.mlflow_runs()
    differences = project("dvc", "params", "diff")
    assert "reg.names" in differences
    assert "plain-deviation" in project("dvc", "metrics", "diff")
    project("git", "checkout", "params.yaml", "dvc.lock", "reports")
    project("git", "clean", "-fdq", "src", "conf")


def test_an_experiment_in_a_temporary_copy(project: Project) -> None:
    """`--temp` leaves the workspace alone, and tracks in the real root all the same."""
    from mlflow.tracking import MlflowClient

    before = project.results()
    project("dvc", "exp", "run", "--temp", "-n", "one-row", "-S", "reg.names=[none]")
    assert project.results() == before
    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("blindsr")
    tags = [run.data.tags for run in client.search_runs([experiment.experiment_id])]
    (own,) = [found for found in tags if found.get("dvc.experiment") == "one-row"]
    assert own["git.revision"] == project("git", "rev-parse", "HEAD").strip()
    shown = project("dvc", "exp", "show", "--csv")
    assert "one-row" in shown
    assert "amplitude" in shown
    recipe = ["make", "--no-print-directory", "--dry-run", "--old-file", ".venv/.installed", "exps"]
    exps = subprocess.run(recipe, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    table = project("bash", "-c", exps.replace(".venv/bin/dvc", "dvc")).splitlines()  # what `make exps` runs
    assert any("one-row" in line for line in table)
    assert "run" in next(line for line in table if "Experiment" in line).split()
    assert max(map(len, table)) <= 120


def test_a_test_case_of_ones_own_trains_nothing_again(project: Project) -> None:
    config = project.root / "conf" / "config.yaml"
    case = "    heavy: {blur: {kernel_size: 21, sigma: 4.0}, noise_sigma: 40.0, jpeg_quality: 30}\n"
    config.write_text(config.read_text().replace("    clean: {}\n", f"    clean: {{}}\n{case}"))
    project("blindsr", "params")
    output = project("dvc", "repro", "evaluate@srresnet-rff-0")
    assert "Running stage 'evaluate@" in output
    assert "Running stage 'train@" not in output
    assert ",heavy," in (project.root / "reports" / "scores" / "srresnet-rff-0.csv").read_text()
    assert yaml.safe_load((project.root / "params.yaml").read_text())["suite"]["cases"]["heavy"]["jpeg_quality"] == 30
