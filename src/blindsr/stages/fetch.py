"""fetch: every data set of the settings, verified and indexed; one that is missing is a hole with a reason."""

import logging
from collections.abc import Mapping, Sequence

from blindsr.acquisition import catalog, sources
from blindsr.acquisition.catalog import Manifest
from blindsr.config.params import Params
from blindsr.config.schema import DataParams
from blindsr.data import pairs
from blindsr.data.indices import Index
from blindsr.runtime import paths, temporary
from blindsr.runtime.errors import UserError

_log = logging.getLogger(__name__)


def run(params: Params, *, offline: bool = False) -> None:
    """Write data/index/<set>.json, and data/raw/<set> for sets that are not used in place.

    Args:
        params: Settings of the project.
        offline: Ask no host, as data.offline does.

    Raises:
        UserError: for a root without a manifest; after all sets, if the training set is missing, or, with
            data.require_all, any other.
    """
    data = params.data.model_copy(update={"offline": offline or params.data.offline})
    known = catalog.known_sets()
    for name in data.roots:
        if name not in known:
            raise UserError(f"data.roots names {name!r}, which has no manifest: choose from {', '.join(known)}")
    paths.RAW.mkdir(parents=True, exist_ok=True)
    temporary.sweep(paths.RAW, paths.INDEX)
    found: dict[str, Index] = {}
    for manifest in _manifests(data.sets, params.scale):
        found[manifest.name] = index = _index(manifest, data, params.scale, found)
        index.write(paths.INDEX)
        if not index.missing:
            print(f"{manifest.name}: {len(index.images)} files verified", flush=True)
    sources.sweep()
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


def _index(manifest: Manifest, data: DataParams, scale: int, found: Mapping[str, Index]) -> Index:
    """The index of a set, with the reason where it cannot be used. `found` are those of the sets before it."""
    try:
        if manifest.scale not in (None, scale):
            return _hole(manifest, f"its LR images are for x{manifest.scale}, and scale is {scale}")
        index = sources.obtain(manifest, data)
    except UserError as error:
        return _hole(manifest, manifest.how_to_get, str(error))
    if index.is_real:
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
