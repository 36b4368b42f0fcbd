"""fetch: every data set of the settings, verified and indexed; one that is missing is a hole with a reason."""

import logging

from blindsr.acquisition import catalog, sources
from blindsr.config.params import Params
from blindsr.data.indices import Index
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

_log = logging.getLogger(__name__)


def run(params: Params, *, offline: bool = False) -> None:
    """Write data/index/<set>.json, and data/raw/<set> for sets that are not used in place.

    `offline` asks no host, as data.offline does. Raises UserError for a root without a manifest, or if the
    training set is missing, or, with data.require_all, any other.
    """
    data = params.data.model_copy(update={"offline": offline or params.data.offline})
    known = catalog.known_sets()
    for name in data.roots:
        if name not in known:
            raise UserError(f"data.roots names {name!r}, which has no manifest: choose from {', '.join(known)}")
    paths.RAW.mkdir(parents=True, exist_ok=True)
    missing: list[str] = []
    manifests = [catalog.load_manifest(name) for name in data.sets]
    hr_sets = [manifest.hr for manifest in manifests if manifest.hr and manifest.hr not in data.sets]
    for manifest in [*manifests, *(catalog.load_manifest(name) for name in dict.fromkeys(hr_sets))]:
        try:
            index = sources.obtain(manifest, data)
        except UserError as error:
            index = Index(name=manifest.name, hr=manifest.hr, missing=manifest.how_to_get)
            _log.warning("%s", error)
            missing.append(manifest.name)
        index.write(paths.INDEX)
        if not index.missing:
            print(f"{manifest.name}: {len(index.images)} files verified", flush=True)
    sources.sweep()
    fatal = [name for name in missing if name == data.train or data.require_all]
    if fatal:
        raise UserError(f"cannot go on without {', '.join(fatal)}: see the lines above, and `blindsr fetch --status`")
