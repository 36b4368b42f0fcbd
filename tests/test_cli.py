"""The command line: every error of a user is one line and exit status 2, never a traceback."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from blindsr import __version__, cli
from blindsr.config import conf
from blindsr.data.images import read_rgb, write_png
from blindsr.data.indices import Index, IndexedImage
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def blindsr(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
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


def commands(app: typer.Typer, before: str = "") -> Iterator[tuple[str, str]]:
    """Every command, with its group before it, and the end of its help."""
    for each in app.registered_commands:
        yield before + (each.name or each.callback.__name__), each.epilog or ""
    for group in app.registered_groups:
        yield from commands(group.typer_instance, f"{before}{group.name} ")


def invoke(*words: str) -> Result:
    """Run the command in this process: `exception` is a UserError, which `main` would print."""
    return CliRunner().invoke(cli.app, words)


def test_help_names_every_command_and_the_exit_statuses() -> None:
    text = invoke("-h").stdout
    assert invoke("--help").stdout == text
    for name, _ in commands(cli.app):
        assert re.search(rf"^│ {name.split()[0]} ", text, re.MULTILINE), name
    assert "Exit status: 0" in text


def test_each_command_has_an_example_that_it_takes() -> None:
    for name, epilog in commands(cli.app):
        first, *lines = epilog.split("\n\n")
        assert first in ("Example:", "Examples:"), name
        for line in lines:
            words = line.split()
            assert line.startswith(f"blindsr {name}"), line
            command = typer.main.get_command(cli.app)
            for word in name.split():
                command = command.commands[word]
            command.make_context(name, words[1 + len(name.split()) :])  # raises for what it does not take


def test_help_of_a_command_ends_with_its_example() -> None:
    for option in ("-h", "--help"):
        assert invoke("runs", "ui", option).stdout.split("Example:")[1].strip() == "blindsr runs ui --port 5001"


def test_version() -> None:
    for option in ("--version", "-V"):
        assert invoke(option).stdout == f"blindsr {__version__}\n"


def test_runs_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "blindsr", "fetch"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: params.yaml is missing")


def test_a_shell_completes_runs(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name in ("srresnet-rff-0", "srresnet-none-0"):
        (tmp_path / "models" / f"{name}.safetensors").touch()
    program = tmp_path / "blindsr"
    program.write_text("from blindsr.cli import main\nmain()\n")
    asked = {
        "_BLINDSR_COMPLETE": "complete_bash",
        "COMP_WORDS": "blindsr score photos --model srr",
        "COMP_CWORD": "4",
    }
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env={**os.environ, **asked}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["srresnet-none-0", "srresnet-rff-0"]


@pytest.mark.parametrize(
    "words",
    [
        ("score", "photos", "--model", "srresnet-rf-0"),
        ("score", "photos", "--model", "bicubic", "--against", "srresnet-rf-0", "--cases", "clean"),
        ("upscale", "photos", "--model", "srresnet-rf-0"),
        ("export", "srresnet-rf-0", "--to", "onnx"),
    ],
)
def test_a_misspelt_run_is_answered_with_the_near_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "srresnet-rff-0.safetensors").touch()
    (tmp_path / "photos").mkdir()
    write_png(tmp_path / "photos" / "a.png", np.zeros((32, 32, 3), np.uint8))
    error = invoke(*words).exception
    assert isinstance(error, UserError)
    assert str(error).endswith(
        "srresnet-rf-0 is not a file, and not a trained run in models/: did you mean srresnet-rff-0?"
    )


def test_threads_are_those_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out does not depend on them, but for one of 255 levels."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    write_png(tmp_path / "photos" / "a.png", pixels)
    for count in ("1", "3"):
        out = tmp_path / count
        commands = (
            ("suite", "photos", str(out / "lr"), "--cases", "blur"),
            ("upscale", "photos", "--model", "bicubic", "--out", str(out / "big")),
            ("score", "photos", "--model", "bicubic", "--cases", "clean", "--csv", str(out / "scores.csv")),
        )
        for words in commands:
            done = invoke(*words, "--threads", count)
            assert done.exit_code == 0, done.exception
    one, other = (read_rgb(tmp_path / count / "lr" / "blur" / "a.png") for count in ("1", "3"))
    assert np.array_equal(one, other)
    one, other = (read_rgb(tmp_path / count / "big" / "a.png").astype(int) for count in ("1", "3"))
    assert np.abs(one - other).max() <= 1  # halves are rounded one way or the other
    psnr = [(tmp_path / count / "scores.csv").read_text().splitlines()[1].split(",")[3] for count in ("1", "3")]
    assert float(psnr[0]) == pytest.approx(float(psnr[1]), abs=1e-3)
    assert invoke("score", "photos", "--model", "bicubic", "--threads", "0").exit_code == 2


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
def test_a_stage_without_its_inputs_names_them(
    project: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(project)
    assert invoke("params").exit_code == 0
    error = invoke(*arguments).exception
    assert isinstance(error, UserError)
    assert says in str(error)
    assert "\n" not in str(error)


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
