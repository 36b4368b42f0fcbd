"""fetch: every data set of the settings, verified and indexed; one that is missing is a hole with a reason."""

import logging

from blindsr import paths
from blindsr.datasets import catalog, sources
from blindsr.errors import UserError
from blindsr.params import Params

_log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Write data/index/<set>.json, and data/raw/<set> for sets that are not used in place.

    Raises UserError if the training set is missing, or, with data.require_all, any other.
    """
    paths.RAW.mkdir(parents=True, exist_ok=True)
    missing: list[str] = []
    for name in params.data.sets:
        manifest = catalog.load_manifest(name)
        try:
            index = sources.obtain(manifest, params.data.roots)
        except UserError as error:
            index = catalog.Index(name=name, missing=manifest.how_to_get)
            _log.warning("%s", error)
            missing.append(name)
        index.write(paths.INDEX)
        if not index.missing:
            print(f"{name}: {len(index.images)} files verified")
    fatal = [name for name in missing if name == params.data.train or params.data.require_all]
    if fatal:
        raise UserError(f"cannot go on without {', '.join(fatal)}: see the lines above")
