"""train: one cell, from its settings to models/<cell>.safetensors and its learning curve."""

import csv
import hashlib
import io
import json
import sys
from pathlib import Path

from filelock import FileLock

from blindsr import devices, files, networks, paths, tracking
from blindsr.datasets.patch_store import INDEX, PatchStore
from blindsr.networks import Network, WeightsInfo
from blindsr.params import Params, cell_name
from blindsr.training import checkpoint, trainer
from blindsr.training.samples import Batches


def run(params: Params, backbone: str, reg: str, seed: int) -> None:
    """Train one cell, or go on with it. Raises UserError for a cell that the settings do not name."""
    params.require_cell(backbone, reg, seed)
    devices.keep_freed_memory()
    cell = cell_name(backbone, reg, seed)
    settings = params.reg.settings[reg]
    hyper = params.backbone.hyper[backbone]
    store = PatchStore(paths.PATCHES)
    key = run_key(params, backbone, reg, seed)
    regularizer = networks.build_regularizer(reg, settings.hyper_for(backbone))
    network = Network(
        trainer.initialize(lambda: networks.build_backbone(backbone, hyper, params.scale), seed), regularizer
    )
    batches = Batches(store, params.train, params.degradation, seed=seed, views=network.views, scale=params.scale)
    states = paths.project_root() / ".train_state" / f"{key}-{_code()}"
    states.mkdir(parents=True, exist_ok=True)
    described = {"backbone": backbone, "reg": reg, "seed": seed, "profile": params.profile, "weight": settings.weight}
    flat = described | {f"train.{name}": value for name, value in params.train.model_dump().items()}
    # two experiments that share a cell: the second waits, instead of writing the same state
    with FileLock(states.with_suffix(".lock")), tracking.open_run(cell, key, flat) as tracked:
        curve = trainer.train(
            network,
            batches,
            params.train,
            weight=settings.weight,
            seed=seed,
            states=states,
            device=devices.choose(params.runtime.device),
            workers=params.runtime.workers,
            checkpoint_every=params.runtime.checkpoint_every,
            log=tracked.metrics,
            label=cell,
        )
        write_curve(curve, paths.CURVES / f"{cell}.csv")
        info = WeightsInfo(
            backbone=backbone,
            hyper=hyper,
            scale=params.scale,
            regularizer=reg,
            seed=seed,
            iterations=params.train.iterations,
            run=key,
        )
        networks.save(network.backbone, info, paths.MODELS / f"{cell}.safetensors")
        checkpoint.clear(states)


def run_key(params: Params, backbone: str, reg: str, seed: int) -> str:
    """Hash of all settings and data that determine a training run (16 hexadecimal digits)."""
    determining = {
        "backbone": {backbone: params.backbone.hyper[backbone]},
        "reg": {reg: params.reg.settings[reg].model_dump()},
        "seed": seed,
        "scale": params.scale,
        "train": params.train.model_dump(),
        "degradation": params.degradation.model_dump(),
        "patches": hashlib.sha256((paths.PATCHES / INDEX).read_bytes()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(determining, sort_keys=True).encode()).hexdigest()[:16]


def _code() -> str:
    """Hash of this project's loaded modules: state that other code wrote is never gone on with."""
    loaded = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "blindsr"]
    digest = hashlib.sha256()
    for file in sorted(file for file in loaded if file):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:8]


def write_curve(curve: list[trainer.CurvePoint], path: Path) -> None:
    """Write a learning curve as CSV, one row per point."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(curve[0])
    writer.writerows([f"{value:.9g}" for value in point.values()] for point in curve)
    files.write_atomic(path, text.getvalue())
