"""`make back`: after an experiment in the workspace, settings, tables and files are those of the last commit."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = """\
stages:
  train:
    cmd: cp params.yaml models/weights && cp params.yaml reports/summary.json
    params: [rate]
    outs:
      - models/weights
      - reports/summary.json: {cache: false}
"""


def call(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A pipeline of one stage with this project's Makefile, made and committed."""
    if importlib.util.find_spec("dvc") is None or shutil.which("make") is None:
        pytest.skip("DVC or make is absent")
    for name in ("models", "reports", ".dvc"):
        (tmp_path / name).mkdir()
    for name, text in (
        ("dvc.yaml", PIPELINE), ("params.yaml", "rate: 1\n"), (".gitignore", "/models/\n/.venv/\n/installed\n"),
        (".dvc/config", ""), (".dvc/.gitignore", "/cache\n/tmp\n/config.local\n"), ("requirements.txt", ""),
        ("constraints.txt", ""), ("pyproject.toml", ""), ("installed", ""),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    shutil.copy(ROOT / "Makefile", tmp_path)
    call("git", "init", "--quiet", folder=tmp_path)
    call(sys.executable, "-m", "dvc", "repro", "--quiet", folder=tmp_path)
    call("git", "add", ".", folder=tmp_path)
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    call("git", *who, "commit", "--quiet", "-m", "made", folder=tmp_path)
    return tmp_path


@pytest.mark.parametrize("cached", [True, False], ids=["made here", "fresh clone"])
def test_back_is_the_last_commit(project: Path, cached: bool) -> None:
    if not cached:  # as after `git clone`: what the last commit made was never here
        shutil.rmtree(project / ".dvc" / "cache")
        (project / "models" / "weights").unlink()
    (project / "params.yaml").write_text("rate: 2\n")
    call(sys.executable, "-m", "dvc", "repro", "--quiet", folder=project)
    assert (project / "models" / "weights").read_text() == "rate: 2\n"
    binaries = str(Path(sys.executable).parent)
    said = call("make", "back", f"BIN={binaries}", "STAMP=installed", folder=project)
    assert "rror" not in said
    assert call("git", "status", "--porcelain", folder=project) == ""
    assert (project / "reports" / "summary.json").read_text() == "rate: 1\n"
    weights = project / "models" / "weights"
    if cached:
        assert weights.read_text() == "rate: 1\n"
    else:
        assert not weights.exists()  # rather than those of the experiment under the name of the commit's
