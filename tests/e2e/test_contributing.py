"""The worked examples of CONTRIBUTING.md, run as they are printed in a copy of this project."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from blindsr.data import images
from blindsr.plugins.metrics.psnr_db import psnr

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("dvc", "hydra"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a git checkout to copy"),
]


def blocks(title: str) -> list[tuple[str, str]]:
    """(language, text) of the code blocks in a section of CONTRIBUTING.md."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with this project's files and no results."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and name != "dvc.lock":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name)
    run(tmp_path, "git init -q -b main && git config user.name test && git config user.email test@example.org")
    run(tmp_path, "git add -A && git commit -q -m start")
    return tmp_path


def run(project: Path, text: str) -> str:
    """What a shell prints that runs the text in the project, on the project's own code."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project / "src"),
        "OMP_NUM_THREADS": "1",
    }
    for variable in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI"):
        environment.pop(variable, None)
    done = subprocess.run(
        ["bash", "-e", "-c", text], cwd=project, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def write(project: Path, text: str) -> None:
    """Write a printed file, whose first line is a comment with its path."""
    path = project / text.splitlines()[0].removeprefix("# ")
    path.write_text(text)


def test_a_real_paired_set(project: Path) -> None:
    """Bicubic's PSNR of the pair is the one computed here."""
    hr = images.bicubic_upscale(np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8), 4)
    lr = images.bicubic_downscale(hr, 4)
    (project / "zoom").mkdir()
    for name, image in (("0001_tele", hr), ("0001_wide", lr)):
        images.write_png(project / "zoom" / f"{name}.png", image)
    (language, manifest), (shell, commands) = blocks("A real paired set")
    assert (language, shell) == ("yaml", "bash")
    write(project, manifest)
    said = run(project, commands)
    (row,) = (line for line in csv.reader(said.splitlines()) if line and line[0] == "Zoom")
    assert row[:3] == ["Zoom", "real", "0001_wide"]
    assert float(row[3]) == pytest.approx(psnr(images.bicubic_upscale(lr, 4), hr, 4), abs=0.01)
    assert "psnr_shift_db" not in (project / "reports" / "scores" / "bicubic.csv").read_text()  # it is aligned
