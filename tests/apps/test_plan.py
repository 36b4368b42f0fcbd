"""What a grid would cost, and how far its runs are: as another process sees a training that was killed."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from blindsr.acquisition import patch_builder
from blindsr.apps import grid, plan
from blindsr.apps.grid import RunState
from blindsr.config import params
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.data.images import write_png
from blindsr.data.indices import IndexedImage
from blindsr.runtime.errors import UserError

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "blindsr"
# kills the process once a checkpoint is written
DYING = """
import os, signal, sys
sys.modules["mlflow"] = None
from blindsr.cli import main
from blindsr.training import checkpoint
save = checkpoint.save
def dying(*arguments):
    save(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save = dying
main()
"""
PLAIN = "from blindsr.cli import main; main()"


@pytest.fixture
def patches(project: Path, index_images: Callable[[Path], list[IndexedImage]]) -> None:
    """data/patches of one image."""
    (project / "own").mkdir()
    write_png(project / "own/a.png", torch.randint(0, 256, (200, 200, 3), dtype=torch.uint8).numpy())
    patch_builder.build(
        index_images(project / "own"), project / "own", project / "data/patches",
        size=192, step=96, scale=4, smallest=64, state=project / "state", workers=1,
    )  # fmt: skip


@pytest.fixture
def small(project: Path, patches: None) -> Params:
    """Settings of a network that trains in no time."""
    settings = yaml.safe_load((project / "params.yaml").read_text())
    settings["backbone"]["hyper"]["srresnet"] = {"num_blocks": 1, "num_features": 4}
    settings["runtime"] |= {"checkpoint_every": 3, "device": "cpu"}
    (project / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return params.read()


def blindsr(*arguments: str, code: str = PLAIN, package: Path = PACKAGE) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_plan_finds_the_checkpoint_of_a_killed_training(small: Params, tmp_path: Path) -> None:
    """Also after a change of what decides no result, as the text of a message."""
    killed = blindsr("train", "srresnet", "rff", "0", code=DYING)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    copy = tmp_path / "changed" / "blindsr"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "runtime" / "errors.py").open("a") as code:
        code.write("# a comment\n")
    for package in (PACKAGE, copy):
        shown = blindsr("grid", "--plan", package=package)
        assert shown.returncode == 0, shown.stderr
        rows = {reg: line for line in shown.stdout.splitlines() for reg in ("none", "rff") if f"-{reg}-0" in line}
        assert "partial: iteration 3" in rows["rff"]
        assert "todo" in rows["none"]


def test_the_plan_counts_operations_and_hours(
    small: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = plan.probe(small, Run("srresnet", "none", 0))
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
    plan.show(small)
    shown = capsys.readouterr().out
    assert "done" in shown
    assert "6e+11" in shown  # 600 iterations are left
    assert "0.60 hours of training left on one device (CPU, 1 threads and 0 workers)" in shown


def test_a_plan_before_there_are_patches_says_what_to_run(project: Path) -> None:
    with pytest.raises(UserError, match="which is not there: run `dvc repro patches` first"):
        plan.show(params.read())
