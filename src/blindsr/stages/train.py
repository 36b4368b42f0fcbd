"""train: one cell, from its settings to models/<cell>.safetensors and its learning curve."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from blindsr.config import registry
from blindsr.config.params import Params, cell_name
from blindsr.data import indices
from blindsr.data.patch_store import INDEX, PatchStore
from blindsr.model import networks, weight_files
from blindsr.model.network import Network, build_regularizer
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import devices, files, paths, provenance, tracking
from blindsr.runtime.errors import UserError
from blindsr.training import checkpoint, distributed, failure, initial, losses, trainer
from blindsr.training.distributed import World
from blindsr.training.objective import Objective
from blindsr.training.samples import Batches
from blindsr.training.validation import Validation


def run(params: Params, backbone: str, reg: str, seed: int) -> None:
    """Train one cell, or go on with it, on the devices of `runtime`.

    Raises UserError for a cell that the settings do not name, and what `trainer.train` raises.
    """
    params.require_cell(backbone, reg, seed)
    runtime = params.runtime
    ranks = distributed.count(runtime.devices, runtime.device)
    if ranks > 1 and not distributed.launched():
        build_batches(
            params, seed, build_network(params, backbone, reg, seed).views, World(devices.choose("cpu"), 0, ranks)
        )
        distributed.launch(ranks, ["train", backbone, reg, str(seed)])
        return
    with distributed.join(runtime.device) as world:
        _train(params, backbone, reg, seed, world)


def _train(params: Params, backbone: str, reg: str, seed: int, world: World) -> None:
    devices.keep_freed_memory()
    devices.make_repeatable(world.device)
    cell, settings, runtime = cell_name(backbone, reg, seed), params.reg.settings[reg], params.runtime
    network = build_network(params, backbone, reg, seed)
    batches = build_batches(params, seed, network.views, world)
    key = run_key(params, backbone, reg, seed)
    states = state_folder(params, backbone, reg, seed)
    world.require_same(states.name, "all machines need the same code, params.yaml and data/patches")
    states.mkdir(parents=True, exist_ok=True)
    began_with = states.parent / f"{cell}.init_from"
    initial.require_unchanged(began_with, initial.digest(params.train.init_from))
    train, watched = params.train, params.train.validation
    store = PatchStore(paths.PATCHES)
    validate = Validation(store, watched, network.backbone, train.crop, params.scale) if watched.every else None
    described = {"backbone": backbone, "reg": reg, "seed": seed, "profile": params.profile, "weight": settings.weight}
    flat = described | {f"train.{name}": value for name, value in train.model_dump().items()}
    with _alone(states, world), tracking.open_run(cell, key, flat, on=world.main) as tracked:
        hours = tracked.stopwatch()
        curve = trainer.train(
            network,
            batches,
            train,
            losses=losses.build_losses(train, trunk(params)),
            weight=settings.weight,
            seed=seed,
            states=states,
            world=world,
            workers=runtime.workers,
            checkpoint_every=runtime.checkpoint_every,
            log=lambda step, point: tracked.metrics(step, point | hours()),
            label=cell,
            validate=validate,
            compiled=runtime.compile,
            replayed=runtime.cuda_graph,
        )
        if not world.main:
            return
        write_curve(curve, paths.CURVES / f"{cell}.csv")
        info = WeightsInfo(
            backbone=backbone,
            hyper=params.backbone.hyper[backbone],
            scale=params.scale,
            regularizer=reg,
            seed=seed,
            iterations=train.iterations,
            run=key,
        )
        weight_files.save(network.backbone, info, paths.MODELS / f"{cell}.safetensors")
        checkpoint.clear(states)
        failure.forget(states)
        initial.forget(began_with)


def replay(params: Params, backbone: str, reg: str, seed: int) -> None:
    """Print what is in the batch whose loss was not finite. Raises UserError if no training of the cell had one."""
    params.require_cell(backbone, reg, seed)
    world = World(devices.choose(params.runtime.device))
    record = failure.load(paths.project_root() / ".train_state", run_key(params, backbone, reg, seed))
    network = build_network(params, backbone, reg, seed)
    network.load_state_dict(record["network"])
    network.to(world.device).train()
    bf16 = params.train.precision == "bf16" and world.device.type == "cuda"
    parts = losses.build_losses(params.train, trunk(params)).to(world.device)
    objective = Objective(network, parts, params.reg.settings[reg].weight, bf16=bf16)
    trainer.key_torch(seed, record["iteration"] + 1)
    batches = build_batches(params, seed, network.views, world)
    for line in failure.replay(objective, batches, record["iteration"], params.train.iterations, world.device):
        print(line)


def build_network(params: Params, backbone: str, reg: str, seed: int) -> Network:
    """The network of a cell with the initial weights of its seed, or those of `train.init_from`."""
    regularizer = build_regularizer(reg, params.reg.settings[reg].hyper_for(backbone))
    hyper = params.backbone.hyper[backbone]
    network = trainer.initialize(lambda: networks.build_backbone(backbone, hyper, params.scale), seed)
    initial.start_from(network, params.train.init_from, params.scale)
    return Network(network, regularizer)


def trunk(params: Params) -> Path | None:
    """AlexNet's weights, if a loss asks for them and they are here."""
    if not losses.needs_trunk(params.train):
        return None
    return indices.trunk_file(params.data.lpips_trunk, params.data.roots)[0]


def build_batches(params: Params, seed: int, views: int, world: World) -> Batches:
    """The part of the training batches that falls to a rank. Raises UserError without data/patches."""
    part = {"ranks": world.ranks, "rank": world.rank}
    store = PatchStore(paths.PATCHES)
    degradation = registry.build("degradation", params.degradation.name, params.degradation.settings)
    return Batches(store, params.train, degradation, seed=seed, views=views, scale=params.scale, **part)


@contextlib.contextmanager
def _alone(states: Path, world: World) -> Iterator[None]:
    """Two experiments that share a cell: the second waits, instead of writing the same state."""
    if not world.main:
        yield
        return
    lock = FileLock(states.with_suffix(".lock"))
    try:
        lock.acquire(timeout=-1 if world.ranks == 1 else 10)
    except Timeout:  # the other ranks do not wait for hours
        raise UserError(f"another process trains this cell ({lock.lock_file}): wait for it to end") from None
    try:
        yield
    finally:
        lock.release()


def run_key(params: Params, backbone: str, reg: str, seed: int) -> str:
    """Hash of all settings and data that determine a training run (16 hexadecimal digits)."""
    start = initial.digest(params.train.init_from)
    determining = {
        "backbone": {backbone: params.backbone.hyper[backbone]},
        "reg": {reg: params.reg.settings[reg].model_dump()},
        "seed": seed,
        "scale": params.scale,
        "train": params.train.model_dump(exclude={"init_from", "losses", "loss_settings"})
        | losses.determining(params.train, trunk(params))
        | ({"init_from": start} if start else {}),
        "degradation": _degradation(params),
        "patches": files.sha256(paths.PATCHES / INDEX),
    }
    return files.key(determining)[:16]


def _degradation(params: Params) -> dict[str, Any]:
    """What determines the degradation; of the first one that there was, its settings alone."""
    block = params.degradation
    return block.settings if block.name == "second_order" else {block.name: block.settings}


def state_folder(params: Params, backbone: str, reg: str, seed: int) -> Path:
    """Where the state of a run is: that of other settings, data or code is elsewhere, and never gone on with."""
    key = run_key(params, backbone, reg, seed)
    code = provenance.code_digest("train", backbone=backbone, reg=reg, degradation=params.degradation.name)
    return paths.project_root() / ".train_state" / f"{key}-{code}"


def write_curve(curve: list[trainer.CurvePoint], path: Path) -> None:
    """Write a learning curve as CSV, one row per point; what a point does not have stays empty."""
    columns = list({name: None for point in curve for name in point})  # in order
    rows = [[f"{point[name]:.9g}" if name in point else "" for name in columns] for point in curve]
    files.write_csv(path, columns, rows)
