"""fetch: every data set of the settings, verified and indexed; one that is missing is a hole with a reason."""

import logging
from collections.abc import Mapping, Sequence

from blindsr.acquisition import catalog, sources
from blindsr.acquisition.catalog import Manifest
from blindsr.config import preflight
from blindsr.config.params import Params
from blindsr.config.schema import DataParams
from blindsr.data import pairs
from blindsr.data.indices import Index
from blindsr.runtime import paths, recorded, temporary
from blindsr.runtime.errors import UserError

_log = logging.getLogger(__name__)


def run(params: Params, *, offline: bool = False) -> None:
    """Write data/index/<set>.json, and data/raw/<set> for sets that are not used in place.

    Args:
        params: Settings of the project.
        offline: Ask no host, as data.offline does.

    Raises:
        UserError: for a root without a manifest, a set of another kind than its use, or settings that a later stage
            could not follow; after all sets, if the training set is missing, or holds images of a benchmark, or, with
            data.require_all, if any other set is missing.
    """
    data = params.data.model_copy(update={"offline": offline or params.data.offline})
    known = catalog.known_sets()
    for name in data.roots:
        if name not in known:
            raise UserError(f"data.roots names {name!r}, which has no manifest: choose from {', '.join(known)}")
    wanted = _manifests(data.sets, params.scale)
    _check_roles({manifest.name: manifest for manifest in wanted}, data)
    preflight.check(params)
    paths.RAW.mkdir(parents=True, exist_ok=True)
    temporary.sweep(paths.RAW, paths.INDEX)
    found: dict[str, Index] = {}
    for manifest in wanted:
        found[manifest.name] = index = _index(manifest, data, params.scale, found)
        index.write(paths.INDEX)
        if not index.missing:
            left_out = f", {len(index.left_out)} left out" if index.left_out else ""
            print(f"{manifest.name}: {len(index.images)} files verified{left_out}", flush=True)
    sources.sweep()
    recorded.note(paths.INDEX)
    if not data.train_on_benchmarks:
        _require_apart(found[data.train], [found[name] for name in data.benchmarks])
    missing = [name for name, index in found.items() if index.missing]
    fatal = [name for name in missing if name == data.train or data.require_all]
    if fatal:
        raise UserError(f"cannot go on without {', '.join(fatal)}: see the lines above, and `blindsr fetch --status`")


def _manifests(names: Sequence[str], scale: int) -> list[Manifest]:
    """The manifests of the sets and, in front of them, of the HR sets that real LR images of this scale belong to."""
    wanted = [catalog.load_manifest(name) for name in names]
    real = [manifest for manifest in wanted if manifest.hr and manifest.scale in (None, scale)]
    others = [catalog.load_manifest(name) for name in dict.fromkeys(str(manifest.hr) for manifest in real)]
    for manifest in others:
        if manifest.pairing:
            raise UserError(f"{manifest.name} has real LR images itself: it cannot be the HR set of another set")
    everything = [*(manifest for manifest in others if manifest.name not in names), *wanted]
    return sorted(everything, key=lambda manifest: manifest.hr is not None)  # in their order: the sort is stable


def _check_roles(manifests: Mapping[str, Manifest], data: DataParams) -> None:
    """Refuse a set that is of another kind than its use, which would show when it is trained on, or scored."""
    for key, names, roles in (
        ("data.train", [data.train], ("train", "benchmark", "source")),
        ("data.benchmarks", data.benchmarks, ("benchmark", "pairs", "unpaired", "source", "train")),
        ("data.lpips_trunk", [data.lpips_trunk] if data.lpips_trunk else [], ("weights",)),
    ):
        for name in names:
            role = manifests[name].role
            if role not in roles:
                fit = [other for other in catalog.known_sets() if catalog.load_manifest(other).role == roles[0]]
                raise UserError(f"{key} names {name}, a set of {role}: choose one such as {', '.join(fit[:3])}")


def _require_apart(train: Index, benchmarks: Sequence[Index]) -> None:
    """Refuse to train on the very files that are scored, under whatever names."""
    own = {image.sha256: image.file for image in train.images}
    for benchmark in benchmarks:
        for image in benchmark.images:
            if image.sha256 in own:
                raise UserError(
                    f"{own[image.sha256]} of the training set {train.name} is {image.file} of the benchmark "
                    f"{benchmark.name}: take it out, or set data.train_on_benchmarks to true"
                )


def _index(manifest: Manifest, data: DataParams, scale: int, found: Mapping[str, Index]) -> Index:
    """The index of a set, with the reason where it cannot be used. `found` are those of the sets before it."""
    try:
        if manifest.scale not in (None, scale):
            return _hole(manifest, f"its LR images are for x{manifest.scale}, and scale is {scale}")
        index = sources.obtain(manifest, data)
    except UserError as error:
        return _hole(manifest, manifest.how_to_get, str(error))
    if index.pairing:
        hr = found[index.hr] if index.hr else index
        if hr.missing:
            return _hole(manifest, f"its HR images are those of {hr.name}, which is missing: {hr.missing}")
        try:
            pairs.require_pairs(index, hr, scale)
        except UserError as error:
            return _hole(manifest, str(error))
    return index


def _hole(manifest: Manifest, reason: str, warning: str = "") -> Index:
    """The index of a set that cannot be used. `warning` says more of why, for this machine alone."""
    _log.warning("%s", warning or (reason if reason.startswith(manifest.name) else f"{manifest.name}: {reason}"))
    return manifest.index(missing=reason)
