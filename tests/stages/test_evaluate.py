"""The evaluate stage: kills, several processes, bad images; the CSV has the same bytes in every case."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from blindsr.config import conf, params
from blindsr.config.run import Run
from blindsr.data import images, suite
from blindsr.data.indices import Index, IndexedImage
from blindsr.evaluation import benchmarks
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError
from blindsr.stages import evaluate

ROOT = Path(__file__).resolve().parents[2]
RUN = "srresnet-none-0"
HYPER = {"num_blocks": 1, "num_features": 4}
NAMES = ("a", "b", "c", "d", "e")
# runs the stage without MLflow, and kills itself, as `kill -9` does, in the middle of writing a row
PROGRAM = """
import contextlib, os, signal, sys, types
from blindsr.config import params
from blindsr.config.run import Run
from blindsr.runtime import tracking
from blindsr.evaluation.journal import Journal
from blindsr.stages import evaluate
tracking.open_run = lambda *a: contextlib.nullcontext(types.SimpleNamespace(
    summary=lambda values: None, artifacts=lambda *a: None, inputs=lambda sets: None))
rows, append = int(sys.argv[1]), Journal.append
written = 0
def killing(self, scores):
    global written
    append(self, scores)
    written += 1
    if written == rows:
        with self._path.open("ab") as file:
            file.write(b'["cut off')
        os.kill(os.getpid(), signal.SIGKILL)
if rows:
    Journal.append = killing
evaluate.run(params.read(), Run.parse("srresnet-none-0"))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a benchmark of five images, its LR images, and a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    settings = conf.compose(ROOT / "conf", ["reg=none"])
    settings["data"] |= {"benchmarks": ["Toy"], "lpips_trunk": None}
    settings["suite"]["cases"] = {name: settings["suite"]["cases"][name] for name in ("clean", "b+n+j")}
    Path("params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    generator = np.random.default_rng(0)
    (paths.RAW / "Toy").mkdir(parents=True)
    entries = []
    for name in NAMES:
        file = paths.RAW / "Toy" / f"{name}.png"
        hr = generator.integers(0, 256, (48, 44, 3), dtype=np.uint8)
        images.write_png(file, hr)
        entries.append(IndexedImage(name=name, file=file.name, width=44, height=48, sha256=files.sha256(file)))
        for case, lr in suite.degrade_suite(hr, params.read().suite, "Toy", name).items():
            (paths.LR / "Toy" / case).mkdir(parents=True, exist_ok=True)
            images.write_png(paths.LR / "Toy" / case / f"{name}.png", lr)
    Index(name="Toy", images=entries).write(paths.INDEX)
    info = WeightsInfo(backbone="srresnet", hyper=HYPER, scale=4, regularizer="none", seed=0, iterations=1, run="x")
    weight_files.save(architecture.build_backbone("srresnet", HYPER, 4), info, paths.MODELS / f"{RUN}.safetensors")
    return tmp_path


kept: list[object] = []  # what is stored with the run beside its scores


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the stage without MLflow; gives the CSV's bytes, how many images were upscaled, and what was tracked."""
    tracked: dict[str, float] = {}
    upscaled = []
    kept.clear()
    inner = benchmarks.inference.upscale_rgb

    def counting(network, lrs, *args, **kwargs):
        upscaled.extend(lrs)
        return inner(network, lrs, *args, **kwargs)

    monkeypatch.setattr(evaluate.inference, "upscale_rgb", counting)
    monkeypatch.setattr(
        evaluate.tracking,
        "open_run",
        lambda *arguments: contextlib.nullcontext(
            SimpleNamespace(summary=tracked.update, artifacts=lambda *made: kept.append(made), inputs=kept.extend)
        ),
    )

    def call(name: str = RUN):
        upscaled.clear()
        evaluate.run(params.read(), Run.parse(name))
        return (paths.SCORES / f"{name}.csv").read_bytes(), len(upscaled), tracked

    return call


def process(kill_after: int = 0, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(kill_after)]
    variables = {**os.environ, **environment}
    return subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)


def states() -> list[Path]:
    return [path for path in Path(".train_state").rglob("*") if path.suffix == ".jsonl"]


def test_rows_are_in_the_order_of_the_suite_and_nothing_is_left(run) -> None:
    content, upscaled, tracked = run()
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert [(row["case"], row["image"]) for row in rows] == [(c, n) for c in ("clean", "b+n+j") for n in NAMES]
    assert all(row["lpips"] == "" for row in rows)
    assert upscaled == 10
    assert (paths.SCORES / f"{RUN}.csv", "scores") in kept
    assert [one[0::2] for one in kept[1:]] == [("Toy", "evaluation")]
    assert tracked["psnr_db/Toy/clean"] == pytest.approx(np.mean([float(r["psnr_db"]) for r in rows[:5]]), abs=1e-6)
    assert states() == []


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_bytes(run) -> None:
    expected, *_ = run()
    (paths.SCORES / f"{RUN}.csv").unlink()
    killed = process(kill_after=3)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (paths.SCORES / f"{RUN}.csv").exists()
    assert len(states()) == 1
    resumed = process()
    assert resumed.communicate()[1].count("10/10") == 1
    assert (paths.SCORES / f"{RUN}.csv").read_bytes() == expected
    assert states() == []


def test_only_what_is_missing_is_computed_again(run, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, *_ = run()
    append, calls = evaluate.Journal.append, []

    def failing(self, rows):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        append(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(evaluate.Journal, "append", failing)
        with pytest.raises(KeyboardInterrupt):
            run()
    content, upscaled, _ = run()
    assert content == expected
    assert upscaled == 6  # of 10: two images with two cases each were kept


def test_another_network_or_setting_begins_anew_and_another_image_alone_is_scored_again(run) -> None:
    expected, *_ = run()
    images.write_png(paths.LR / "Toy" / "clean" / "c.png", np.zeros((12, 10, 3), np.uint8))
    with pytest.raises(UserError, match="1 of 10 images have no score"):
        run()
    hr = images.read_rgb(paths.RAW / "Toy" / "c.png")
    images.write_png(paths.LR / "Toy" / "clean" / "c.png", images.bicubic_downscale(hr, 4))
    content, upscaled, _ = run()
    assert (content, upscaled) == (expected, 1)
    (paths.LR / "Toy" / "clean" / "c.png").unlink()
    with pytest.raises(UserError):
        run()
    images.write_png(paths.LR / "Toy" / "clean" / "c.png", images.bicubic_downscale(hr, 4))
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("crop_border: 4", "crop_border: 5"))
    assert run()[1] == 10


def test_bad_images_are_named_the_others_scored_and_no_table_is_written(run, capsys) -> None:
    (paths.RAW / "Toy" / "a.png").write_bytes((paths.RAW / "Toy" / "a.png").read_bytes()[:200])
    images.write_png(paths.LR / "Toy" / "clean" / "b.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UserError, match=f"{RUN}: 3 of 10 images have no score"):
        run()
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 2
    assert "a.png" in errors[0]
    assert "b.png does not fit" in errors[1]
    assert not (paths.SCORES / f"{RUN}.csv").exists()
    assert len(states()[0].read_text().split("\n\n")) >= 3


def test_processes_of_torchrun_share_the_images_with_the_same_result(run) -> None:
    expected, *_ = run()
    (paths.SCORES / f"{RUN}.csv").unlink()
    both = [process(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank)) for rank in (0, 1)]
    shown = [one.communicate()[1] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert "6/6" in shown[0]  # three of five images with two cases; what the other has not begun is added to it
    assert (paths.SCORES / f"{RUN}.csv").read_bytes() == expected


def test_a_process_of_torchrun_scores_its_share_alone(run) -> None:
    run()
    (paths.SCORES / f"{RUN}.csv").unlink()
    second = process(RANK="1", WORLD_SIZE="2", LOCAL_RANK="1")
    assert "4/4" in second.communicate()[1]
    assert not (paths.SCORES / f"{RUN}.csv").exists()


def test_bicubic_needs_no_weights(run) -> None:
    content, *_ = run("bicubic")
    assert len(content.splitlines()) == 11


def test_without_lpips_weights_there_is_one_warning(run, caplog) -> None:
    run()
    assert sum("LPIPS trunk" in record.message for record in caplog.records) == 1


def test_an_environment_that_is_left_over_costs_no_score(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a torchrun that is no more: the other process never comes."""
    expected, *_ = run()
    (paths.SCORES / f"{RUN}.csv").unlink()
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    content, upscaled, _ = run()
    assert content == expected
    assert upscaled == 10
