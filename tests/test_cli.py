"""The command line: every error of a user is one line and exit status 2, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from blindsr import conf

ROOT = Path(__file__).resolve().parents[1]


def blindsr(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    import os

    variables = {**os.environ, **environment}
    variables.pop("DVC_ROOT", None)
    command = [sys.executable, "-c", "from blindsr.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with conf/ and manifests, and nothing made yet."""
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifests").symlink_to(ROOT / "data" / "manifests")
    return tmp_path


def test_help_names_every_stage() -> None:
    text = blindsr(ROOT, "--help").stdout
    for stage in (
        "fetch",
        "patches",
        "degrade",
        "train",
        "evaluate",
        "analyse",
        "report",
        "runs",
        "params",
        "score",
        "suite",
    ):
        assert stage in text


def test_params_composes_what_the_stages_read(project: Path) -> None:
    assert blindsr(project, "params").returncode == 0
    assert yaml.safe_load((project / "params.yaml").read_text()) == conf.compose(ROOT / "conf")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fetch",), "params.yaml is missing: run `make params`"),
        (("train", "srresnet", "rff", "0"), "params.yaml is missing"),
    ],
)
def test_without_params_each_stage_says_what_to_run(project: Path, arguments: tuple[str, ...], says: str) -> None:
    done = blindsr(project, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("patches",), "data/index/embedded_train.json is missing: run `dvc repro fetch`"),
        (("degrade",), "data/index/embedded_test.json is missing"),
        (("train", "srresnet", "rff", "0"), "data/patches holds no patch store: run `dvc repro patches`"),
        (("train", "srresnet", "rff", "7"), "no cell srresnet-rff-7: choose one of srresnet-none-0"),
        (("evaluate", "srresnet-rff-0"), "models/srresnet-rff-0.safetensors is missing"),
        (("analyse", "srresnet-rff-0"), "models/srresnet-rff-0.safetensors is missing"),
        (("report",), "reports/scores/bicubic.csv is missing: run `dvc repro`"),
    ],
)
def test_a_stage_without_its_inputs_names_them(project: Path, arguments: tuple[str, ...], says: str) -> None:
    blindsr(project, "params")
    done = blindsr(project, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
