"""Commands where DVC, MLflow, Hydra, scikit-learn and the like are not installed: all that can work does."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import committed
from blindsr.data.images import read_rgb, write_png
from blindsr.data.indices import Index, IndexedImage

ROOT = Path(__file__).resolve().parents[1]
# what the extras of pyproject.toml bring, and requests, which only downloads need
ABSENT = ("dvc", "dvc_s3", "mlflow", "hydra", "omegaconf", "skimage", "sklearn", "threadpoolctl", "matplotlib",
          "tabulate", "submitit", "spandrel", "onnx", "onnxruntime", "requests")  # fmt: skip
# runs commands one after the other in one process that cannot import ABSENT, and tells what each has said and done
PROGRAM = """
import contextlib, io, json, sys

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {absent!r} else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
from blindsr.cli import main
told = []
for sys.argv[1:] in json.loads(sys.argv[1]):
    status, out, error = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        import logging
        logging.root.handlers.clear()  # each command sets its own up, on its own stderr
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    told.append([status, out.getvalue(), error.getvalue()])
print(json.dumps(told))
"""
UNTRACKED = "WARNING: mlflow is not installed: runs are not tracked; `blindsr runs sync` publishes them later"
RUN = "srresnet-rff-0"


def run(*commands: str) -> list[tuple[int, str, str]]:
    """Exit status, stdout and stderr of each command."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DVC_ROOT", "DVC_EXP_NAME")}
    program = PROGRAM.format(absent=ABSENT)
    listed = json.dumps([command.split() for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", program, listed], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [tuple(one) for one in json.loads(done.stdout)]


def rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index_images: Callable[[Path], list[IndexedImage]]
) -> Path:
    """A project with two training photos and one of a benchmark; its params.yaml is not what conf/ composes."""
    monkeypatch.chdir(tmp_path)
    settings = committed.settings()
    settings["backbone"]["hyper"]["srresnet"] = {"num_blocks": 1, "num_features": 4}
    settings["reg"]["names"] = ["rff"]
    settings["data"] |= {"train": "Photos", "benchmarks": ["Toy"], "lpips_trunk": None}
    settings["suite"]["cases"] = {name: settings["suite"]["cases"][name] for name in ("clean", "b+n+j")}
    settings["train"] |= {"iterations": 2, "batch": 4, "crop": 32, "window": 80, "log_every": 2}
    settings["train"]["validation"] |= {"every": 2, "windows": 2}
    settings["runtime"] |= {"device": "cpu", "workers": 0}
    Path("params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    Path("conf").symlink_to(ROOT / "conf")
    generator = np.random.default_rng(0)
    for name, count in (("Photos", 2), ("Toy", 1)):
        folder = Path("data/raw") / name
        folder.mkdir(parents=True)
        for number in range(count):
            write_png(folder / f"{number}.png", generator.integers(0, 256, (96, 120, 3), dtype=np.uint8))
        Index(name=name, images=index_images(folder)).write(Path("data/index"))
    return tmp_path


def test_from_photos_to_scores(project: Path) -> None:
    """Training and evaluation with one warning each, and nothing is lost; the tools around them with none."""
    patches, degrade, train, evaluate, score, suite, verify, upscale = run(
        "patches",
        "degrade",
        "train srresnet rff 0",
        f"evaluate {RUN}",
        f"score data/raw/Toy --model models/{RUN}.safetensors --metrics psnr_db,ssim --csv own.csv --device cpu",
        "suite data/raw/Toy own_suite",
        "suite --verify own_suite",
        f"upscale data/raw/Toy/0.png --model {RUN} --out up.png --device cpu",
    )
    for status, _, error in (patches, degrade, train, evaluate, score, suite, verify, upscale):
        assert status == 0, error
        assert "Traceback" not in error
    warnings = [[line for line in error.splitlines() if "WARNING" in line] for _, _, error in (train, evaluate)]
    assert warnings[0] == [UNTRACKED]
    assert [line for line in warnings[1] if "LPIPS" not in line] == [UNTRACKED]
    for _, _, error in (patches, degrade, score, suite, verify, upscale):
        assert "WARNING" not in error

    assert patches[1] == "2 patches of 192 px from 2 images\n"
    assert Path(f"models/{RUN}.safetensors").stat().st_size > 1000
    (point,) = rows(f"reports/curves/{RUN}.csv")
    assert point["iteration"] == "2"
    assert float(point["l1"]) > 0
    scores = {row["case"]: float(row["psnr_db"]) for row in rows(f"reports/scores/{RUN}.csv")}
    own = {row["case"]: float(row["psnr_db"]) for row in rows("own.csv")}
    assert own == scores  # the same noise, seeded by names
    assert set(own) == {"clean", "b+n+j"}
    lr = read_rgb(Path("own_suite/b+n+j/0.png"))
    np.testing.assert_array_equal(lr, read_rgb(Path("data/lr/Toy/b+n+j/0.png")))
    assert "2 LR images are as their manifest says" in verify[1]
    assert read_rgb(Path("up.png")).shape == (4 * 96, 4 * 120, 3)
    assert not list(Path().glob("ml*"))


@pytest.mark.parametrize(
    ("command", "purpose", "package"),
    [
        ("params", "composing conf/", "hydra-core"),
        (f"analyse {RUN}", "`blindsr analyse`", "scikit-learn"),
        ("grid", "`blindsr grid`", "dvc"),
        ("grid --plan", "`blindsr grid`", "dvc"),
        ("runs sync", "`blindsr runs`", "mlflow"),
        ("runs export", "`blindsr runs`", "mlflow"),
        ("runs ui", "`blindsr runs ui`", "mlflow"),
    ],
)
def test_what_needs_a_package_names_it(
    told: dict[str, tuple[int, str, str]], command: str, purpose: str, package: str
) -> None:
    says = f"error: {purpose} needs {package}, which is not installed: pip install {package}\n"
    assert told[command] == (2, "", says)


def test_extras_are_named(told: dict[str, tuple[int, str, str]]) -> None:
    assert told["grid --slurm"] == (2, "", "error: --slurm needs submitit: pip install 'blindsr[slurm]'\n")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """What the commands say that need an absent package, in a project without results."""
    folder = tmp_path_factory.mktemp("lean")
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (folder / "conf").symlink_to(ROOT / "conf")
    (folder / "mlflow.db").touch()
    commands = ["params", f"analyse {RUN}", "grid", "grid --plan", "grid --slurm"]
    commands += ["runs sync", "runs export", "runs ui"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return dict(zip(commands, run(*commands), strict=True))
