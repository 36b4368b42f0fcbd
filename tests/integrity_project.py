"""A small project with every kind of file that damage can meet, as `dvc repro` leaves one; made without DVC."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from blindsr.acquisition import patch_builder
from blindsr.data import images, lr_sums
from blindsr.data.indices import Index, IndexedImage
from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import Key, Score
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import files, paths, recorded
from blindsr.training import checkpoint
from blindsr.training.kept import Kept

CACHE = Path(".dvc/cache/files/md5")
STATE = Path(".train_state")
HYPER = {"num_blocks": 1, "num_features": 4}
RUNS = ("srresnet-none-0", "srresnet-rff-0")


def make() -> None:
    """A small project of every kind of file in the working directory, as DVC leaves one."""
    generator = np.random.default_rng(0)
    entries, sums = [], {}
    for name in "ab":
        hr = generator.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        file = paths.RAW / "Toy" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        images.write_png(file, hr)
        entries.append(IndexedImage(name=name, file=file.name, width=48, height=40, sha256=files.sha256(file)))
        lr = paths.LR / "Toy" / "clean" / f"{name}.png"
        lr.parent.mkdir(parents=True, exist_ok=True)
        images.write_png(lr, images.bicubic_downscale(hr, 4))
        sums[lr_sums.name(lr)] = files.sha256(lr)
    lr_sums.write(sums)
    Index(name="Toy", images=entries).write(paths.INDEX)
    Index(name="Other", missing="ask").write(paths.INDEX)
    patch_builder.build(
        entries, paths.RAW / "Toy", paths.PATCHES,
        size=32, step=16, scale=4, smallest=16, state=Path(".patch_state"), workers=1,
    )  # fmt: skip
    for number, run in enumerate(RUNS):
        torch.manual_seed(number)
        reg = run.split("-")[1]
        info = WeightsInfo(
            backbone="srresnet", hyper=HYPER, scale=4, regularizer=reg, seed=0, iterations=1, run=f"{number}" * 16
        )
        weight_files.save(architecture.build_backbone("srresnet", HYPER, 4), info, weights(run))
        files.write_csv(paths.CURVES / f"{run}.csv", ["iteration", "l1"], [[1, 0.25 + number], [2, 0.125]])
        rows = [[*Key("Toy", "clean", name), f"{20 + number:.6f}"] for name in "ab"]
        files.write_csv(paths.SCORES / f"{run}.csv", [*Key._fields, "psnr_db"], rows)
        files.write_csv(paths.ANALYSIS / run / "cost.csv", ["iterations", "n"], [[2, number]])
        files.write_csv(paths.ANALYSIS / run / "frequency.csv", ["band", "mape_percent"], [[0, 1.5 + number]])
        for step in (1, 2):
            checkpoint.save(STATE / run, step, {"step": step, "weights": torch.full((64,), float(step + number))})
        Journal(STATE / "evaluate" / run).append([("s", Score(Key("Toy", "clean", "a"), {"psnr_db": 20.0 + number}))])
        batches = Kept(STATE / "batches" / f"{number}-x")
        for iteration in range(2):
            batches.get(iteration, lambda number=number, i=iteration: batch(number, i))
    fold(
        {
            "fetch": [paths.INDEX, paths.RAW],
            "patches": [paths.PATCHES],
            "degrade": [paths.LR],
            **{f"train@{run}": [weights(run), paths.CURVES / f"{run}.csv"] for run in RUNS},
            **{f"evaluate@{run}": [paths.SCORES / f"{run}.csv"] for run in RUNS},
            **{f"analyse@{run}": [paths.ANALYSIS / run] for run in RUNS},
        }
    )


def batch(number: int, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
    level = (10 * number + iteration) / 255
    return torch.full((1, 3, 4, 4), level), torch.full((1, 3, 16, 16), level)


def weights(run: str) -> Path:
    return paths.MODELS / f"{run}.safetensors"


def fold(stages: dict[str, list[Path]]) -> None:
    """Write dvc.lock and DVC's cache of what the stages made."""
    lock: dict[str, Any] = {}
    for stage, outs in stages.items():
        made = []
        for out in outs:
            found = {out / name: name for name in recorded.members(out)} if out.is_dir() else {out: ""}
            for path in found:
                keep(path.read_bytes(), recorded.md5(path))
            digest = recorded.digest(out)
            if out.is_dir():
                listing = [{"md5": recorded.md5(path), "relpath": name} for path, name in found.items()]
                keep(str(listing).replace("'", '"').encode(), digest)
            made.append({"path": out.as_posix(), "hash": "md5", "md5": digest, "size": 1})
        deps = [{"path": "data/index", "hash": "md5", "md5": "0" * 32 + ".dir", "size": 1, "nfiles": 1}]
        lock[stage] = {"cmd": f"blindsr {stage}", "deps": deps, "params": {"params.yaml": {"scale": 4}}, "outs": made}
    text = yaml.safe_dump({"schema": "2.0", "stages": lock}, sort_keys=False)
    recorded.LOCK.write_text(text)
    for command in (["init", "-q"], ["add", "-f", "dvc.lock"]):
        subprocess.run(["git", *command], check=True)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *author, "commit", "-q", "-m", "made"], check=True)


def keep(content: bytes, md5: str) -> None:
    path = CACHE / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
