"""train: one run, from its settings to models/<run>.safetensors and its learning curve."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import Timeout

from blindsr.config import preflight, registry
from blindsr.config.described import described
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.data import indices, sizes
from blindsr.data.patch_store import INDEX, PatchStore
from blindsr.model import architecture, weight_files
from blindsr.model.network import Network, build_regularizer
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import devices, files, packages, paths, provenance, recorded, temporary, tracking
from blindsr.runtime.errors import UserError
from blindsr.runtime.tracking import DataSet
from blindsr.training import checkpoint, distributed, failure, initial, losses, trainer
from blindsr.training.distributed import World
from blindsr.training.kept import Kept
from blindsr.training.objective import Objective
from blindsr.training.samples import Batches
from blindsr.training.validation import Validation

LOADER = "blindsr.apps.mlflow_model"
"""Module by which MLflow loads the weights of a run."""


def run(params: Params, wanted: Run) -> None:
    """Train one run, or resume it, on the devices of `runtime`.

    Args:
        params: Settings of the project.
        wanted: A trained run, not a control.

    Raises:
        UserError: for a run that the settings do not name, or settings that a later run or stage could not follow; as
            `build_network`, `build_batches`, `distributed.join` and `trainer.train` do.
        Interrupted: as `trainer.train` does.
    """
    params.require(wanted)
    if not distributed.launched():
        preflight.check(params)
        sizes.require_large_enough(params)
    runtime = params.runtime
    ranks = distributed.count(runtime.devices, runtime.device)
    if ranks > 1 and not distributed.launched():
        views = build_network(params, wanted).views
        build_batches(params, wanted.seed, views, World(devices.choose("cpu"), 0, ranks))
        distributed.launch(ranks, ["train", wanted.backbone, wanted.reg, str(wanted.seed)])
        return
    with distributed.join(runtime.device) as world:
        _train(params, wanted, world)


def _train(params: Params, run: Run, world: World) -> None:
    devices.keep_freed_memory()
    devices.make_repeatable(world.device)
    backbone, reg, seed = run.backbone, run.reg, run.seed
    settings, runtime = params.reg.settings[reg], params.runtime
    network = build_network(params, run)
    batches = build_batches(params, seed, network.views, world)
    key = run_key(params, run)
    states = state_folder(params, run)
    world.require_same(states.name, "all machines need the same code, params.yaml and data/patches")
    states.mkdir(parents=True, exist_ok=True)
    temporary.sweep(states, paths.MODELS, paths.CURVES)
    began_with = states.parent / f"{run}.init_from"
    initial.require_unchanged(began_with, initial.digest(params.train.init_from))
    train, watched = params.train, params.train.validation
    store = PatchStore(paths.PATCHES)
    degradation = registry.build("degradation", params.degradation.name, params.degradation.settings)
    windows = (train.crop, params.scale, degradation, train.window)
    validate = Validation(store, watched, network.backbone, *windows) if watched.every else None
    begin = described(params, run)
    with _alone(states, world, run.name), tracking.open_run(run.name, key, begin, on=world.main) as tracked:
        if world.main and checkpoint.newest_iteration(states) == train.iterations:
            took = f"taking over the result of a training that had ended; to train anew, delete {states}"
            print(f"{run.name}: {took}", file=sys.stderr, flush=True)
        tracked.inputs([DataSet(params.data.train, files.sha256(paths.PATCHES / INDEX)[:16], "training")])
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
            label=run.name,
            validate=validate,
            gradient_share=settings.gradient_share,
            compiled=runtime.compile,
            replayed=runtime.cuda_graph,
        )
        if not world.main:
            return
        made = [paths.CURVES / f"{run}.csv", paths.MODELS / f"{run}.safetensors"]
        info = WeightsInfo(
            backbone=backbone,
            hyper=params.backbone.hyper[backbone],
            scale=params.scale,
            regularizer=reg,
            seed=seed,
            iterations=train.iterations,
            run=key,
        )
        try:
            write_curve(curve, made[0])
            weight_files.save(network.backbone, info, made[1])
            recorded.note(*made)
            checkpoint.finish(states, made)
        except UserError as error:
            raise UserError(f"{error}; {checkpoint.resumption(states)}") from None
        tracked.artifacts(made[0], "curves")
        tracked.model(made[1], LOADER)
        failure.forget(states)
        initial.forget(began_with)


def replay(params: Params, wanted: Run) -> None:
    """Print what is in the batch whose loss was not finite.

    Args:
        params: Settings of the project, as that training had them.
        wanted: The run.

    Raises:
        UserError: if no training of the run, with these settings, had such a batch.
    """
    params.require(wanted)
    world = World(devices.choose(params.runtime.device))
    record = failure.load(paths.project_root() / ".train_state", run_key(params, wanted))
    network = build_network(params, wanted)
    network.load_state_dict(record["network"])
    network.to(world.device).train()
    bf16 = params.train.precision == "bf16" and world.device.type == "cuda"
    parts = losses.build_losses(params.train, trunk(params)).to(world.device)
    objective = Objective(network, parts, params.reg.settings[wanted.reg].weight, bf16=bf16)
    trainer.key_torch(wanted.seed, record["iteration"] + 1)
    batches = build_batches(params, wanted.seed, network.views, world)
    for line in failure.replay(objective, batches, record["iteration"], params.train.iterations, world.device):
        print(line)


def build_network(params: Params, run: Run) -> Network:
    """Build the network of a run with the initial weights of its seed, or those of `train.init_from`.

    Args:
        params: Settings of the project.
        run: A run that they name.

    Returns:
        The network with its regularizer, on the CPU.

    Raises:
        UserError: as `initial.start_from` does.
    """
    regularizer = build_regularizer(run.reg, params.reg.settings[run.reg].hyper_for(run.backbone))
    hyper = params.backbone.hyper[run.backbone]
    network = trainer.initialize(lambda: architecture.build_backbone(run.backbone, hyper, params.scale), run.seed)
    initial.start_from(network, params.train.init_from, params.scale)
    return Network(network, regularizer)


def trunk(params: Params) -> Path | None:
    """AlexNet's weights, if a loss asks for them and they are here."""
    if not losses.needs_trunk(params.train):
        return None
    return indices.trunk_file(params.data.lpips_trunk, params.data.roots)[0]


def build_batches(params: Params, seed: int, views: int, world: World) -> Batches:
    """Build the part of the training batches that falls to a rank.

    Args:
        params: Settings of the project.
        seed: Of the run.
        views: Degraded views of each patch.
        world: Says which of how many ranks this is.

    Returns:
        The batches of all iterations.

    Raises:
        UserError: without data/patches, and as `Batches` does.
    """
    part = {"ranks": world.ranks, "rank": world.rank}
    store = PatchStore(paths.PATCHES)
    degradation = registry.build("degradation", params.degradation.name, params.degradation.settings)
    kept = Kept(_kept_folder(params, seed, views, world)) if params.runtime.keep_batches else None
    return Batches(store, params.train, degradation, seed=seed, views=views, scale=params.scale, kept=kept, **part)


def _kept_folder(params: Params, seed: int, views: int, world: World) -> Path:
    """Where the batches of a rank are kept: whatever they depend on is in its name."""
    determining = {
        "seed": seed,
        "views": views,
        "scale": params.scale,
        "ranks": [world.rank, world.ranks],
        "train": params.train.model_dump(include={"batch", "crop", "window", "horizontal_flip", "usm_target"}),
        "degradation": {params.degradation.name: params.degradation.settings},
        "patches": files.sha256(paths.PATCHES / INDEX),
    }
    code = provenance.code_digest("batches", degradation=params.degradation.name)
    return paths.project_root() / ".train_state" / "batches" / f"{files.key(determining)[:16]}-{code}"


@contextlib.contextmanager
def _alone(states: Path, world: World, name: str) -> Iterator[None]:
    """Two experiments that share a run: the second waits, and takes over what the first has made."""
    if not world.main:
        yield
        return
    lock = checkpoint.lock(states)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{name}: another process trains it: waiting for its result", file=sys.stderr, flush=True)
        try:
            lock.acquire(timeout=-1 if world.ranks == 1 else 10)
        except Timeout:  # the other ranks do not wait for hours
            raise UserError(f"another process trains this run ({lock.lock_file}): wait for it to end") from None
    try:
        checkpoint.sweep(states)  # the run is made once more, as `dvc repro --force` asks for
        checkpoint.sweep_others(states)
        states.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        lock.release()


def run_key(params: Params, run: Run) -> str:
    """Hash all settings and data that determine a training run.

    Args:
        params: Settings of the project.
        run: A run that they name.

    Returns:
        16 hexadecimal digits.

    Raises:
        UserError: as `initial.digest` does.
        FileNotFoundError: without data/patches.
    """
    start = initial.digest(params.train.init_from)
    determining = {
        "backbone": {run.backbone: params.backbone.hyper[run.backbone]},
        "reg": {run.reg: params.reg.settings[run.reg].determining()},
        "seed": run.seed,
        "scale": params.scale,
        "train": params.train.model_dump(exclude={"init_from", "losses", "loss_settings"})
        | losses.determining(params.train, trunk(params))
        | ({"init_from": start} if start else {}),
        "degradation": _degradation(params),
        "patches": files.sha256(paths.PATCHES / INDEX),
    }
    own = packages.own_files(params.backbone.hyper[run.backbone])
    if own:  # a network that a file of the user's builds
        determining["files"] = [files.sha256(path) for path in own]
    return files.key(determining)[:16]


def _degradation(params: Params) -> dict[str, Any]:
    """What determines the degradation; of the first one that there was, its settings alone."""
    block = params.degradation
    return block.settings if block.name == "second_order" else {block.name: block.settings}


def state_folder(params: Params, run: Run) -> Path:
    """Find where the state of a run is: that of other settings, data or code is elsewhere, and never resumed.

    Args:
        params: Settings of the project.
        run: A run that they name.

    Returns:
        The folder, which need not be there.

    Raises:
        UserError: as `run_key` does.
        FileNotFoundError: likewise.
    """
    key = run_key(params, run)
    code = provenance.code_digest("train", backbone=run.backbone, reg=run.reg, degradation=params.degradation.name)
    return paths.project_root() / ".train_state" / f"{key}-{code}"


def write_curve(curve: list[trainer.CurvePoint], path: Path) -> None:
    """Write a learning curve as CSV, one row per point; what a point does not have stays empty.

    Args:
        curve: Its points in order. Numbers are written with nine significant digits.
        path: Path of the file.

    Raises:
        UserError: where the file cannot be written.
    """
    columns = list({name: None for point in curve for name in point})  # in order
    rows = [[f"{point[name]:.9g}" if name in point else "" for name in columns] for point in curve]
    files.write_csv(path, columns, rows)
