"""What files say of themselves: state that work resumes from, patch store, LR images, manifests, MLflow's curves."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from blindsr.acquisition import catalog
from blindsr.apps import runs
from blindsr.config.params import Params
from blindsr.data import lr_sums
from blindsr.data.patch_store import PatchStore
from blindsr.runtime import files, packages, paths, recorded, tracking_store
from blindsr.runtime.errors import UserError
from blindsr.training import checkpoint, failure, kept


def is_whole(place: Path) -> bool:
    """Whether the patch store, or the folder of LR images, is what it says of itself."""
    return not [*sums(place)]


def states() -> list[tuple[Path, Callable[[Path], bool]]]:
    """Files from which work resumes, and how to tell whether they are whole."""
    folder = paths.project_root() / ".train_state"
    return [
        *((path, checkpoint.is_whole) for path in sorted(folder.glob("*/*.pt"))),
        *((path, kept.is_whole) for path in sorted(folder.glob("batches/*/*"))),
        *((path, failure.is_whole) for path in sorted(folder.glob(f"*{failure.WEIGHTS}"))),
    ]


def manifests() -> Iterator[str]:
    for name in catalog.known_sets():
        try:
            catalog.load_manifest(name)
        except UserError as error:
            yield str(error)


def sums(only: Path | None = None) -> Iterator[str]:
    """What patch store and LR images say of themselves: of `only` one, or of those that dvc.lock does not know."""
    known = recorded.outs()
    chosen = [only] if only else [place for place in (paths.PATCHES, paths.LR) if place.as_posix() not in known]
    try:
        if paths.PATCHES in chosen and paths.PATCHES.is_dir():
            store = PatchStore(paths.PATCHES)
            for number in range(store.image_count):
                store.image(number)
    except UserError as error:
        yield str(error)
    try:
        sums = lr_sums.read() if paths.LR in chosen else None
    except UserError as error:
        sums = None
        yield str(error)
    for name, sha256 in (sums or {}).items():
        if (paths.LR / name).is_file() and files.sha256(paths.LR / name) != sha256:
            yield f"{paths.LR / name}: `blindsr degrade` makes it again"
    if sums is not None and only and {*recorded.members(paths.LR)} != {*sums, lr_sums.FILE}:
        yield f"{paths.LR} has other files than {lr_sums.FILE} says"


def curves(params: Params | None) -> Iterator[str]:
    """Runs in the project's own MLflow whose curve is not the recorded one."""
    if not params or not packages.installed("mlflow") or not (paths.project_root() / "mlflow.db").exists():
        return
    try:
        with tracking_store.asked(tracking_store.own()):
            client = tracking_store.connect(tracking_store.own())
            experiment = client.get_experiment_by_name(tracking_store.EXPERIMENT)
            for run, key, curve in runs.recorded_curves(params) if experiment else ():
                tracked = tracking_store.find(client, experiment.experiment_id, key)
                if tracked and not _same(client, tracked.info.run_id, curve):
                    yield (
                        f"MLflow's curve of {run} is not that of {paths.CURVES / run}.csv: delete that run in "
                        "MLflow, then `blindsr runs sync`"
                    )
    except UserError as error:
        yield str(error)


def _same(client: Any, run_id: str, curve: Sequence[tuple[int, Mapping[str, float]]]) -> bool:
    """Whether all points of a recorded curve that MLflow has are the same there, to the nine digits of the file."""
    names = dict.fromkeys(name for _, values in curve for name in values if name != "iteration")
    for name in names:
        there = {point.step: point.value for point in client.get_metric_history(run_id, name)}
        for step, values in curve:
            known = step in there and name in values and math.isfinite(values[name])
            if known and not math.isclose(there[step], values[name], rel_tol=1e-7, abs_tol=1e-12):
                return False
    return True
