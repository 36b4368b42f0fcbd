"""The command line: every error of a user is one line and exit status 2, never a traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from blindsr.config import conf
from blindsr.data.images import write_png
from blindsr.data.indices import Index, IndexedImage

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
        "leaderboard",
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
        (
            ("train", "srresnet", "rff", "0"),
            "data/patches holds no patch store: run `blindsr verify`, then `dvc repro patches`",
        ),
        (("train", "srresnet", "rff", "7"), "no run srresnet-rff-7: did you mean srresnet-rff-0"),
        (("evaluate", "srresnet-rff-0"), "models/srresnet-rff-0.safetensors is missing"),
        pytest.param(
            ("analyse", "srresnet-rff-0"),
            "models/srresnet-rff-0.safetensors is missing",
            marks=pytest.mark.needs("sklearn"),
        ),
        (("report",), "reports/scores/bicubic.csv is missing: run `dvc repro`"),
    ],
)
def test_a_stage_without_its_inputs_names_them(project: Path, arguments: tuple[str, ...], says: str) -> None:
    blindsr(project, "params")
    done = blindsr(project, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_broken_training_image_is_one_line_from_whichever_process(
    project: Path, index_images: Callable[[Path], list[IndexedImage]]
) -> None:
    photos = project / "data" / "raw" / "embedded_train"
    photos.mkdir(parents=True)
    for name in "abcd":
        pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
        write_png(photos / f"{name}.png", pixels)
    (photos / "c.png").write_bytes((photos / "c.png").read_bytes()[:9000])
    Index(name="embedded_train", images=index_images(photos)).write(project / "data" / "index")
    blindsr(project, "params")
    done = blindsr(project, "patches")
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot read image")
    assert "embedded_train/c.png" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    # corrected, it resumes
    write_png(photos / "c.png", np.zeros((96, 128, 3), np.uint8))
    Index(name="embedded_train", images=index_images(photos)).write(project / "data" / "index")
    done = blindsr(project, "patches")
    assert done.stdout == "4 patches of 192 px from 4 images\n"
    assert (project / "data" / "patches" / "pixels.u8").stat().st_size == 4 * 96 * 128 * 3
