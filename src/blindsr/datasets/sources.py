"""Where a data set's files come from: the user's own folder, installed packages, or the network."""

import importlib.util
import shutil
from pathlib import Path

from blindsr import files, paths
from blindsr.datasets import catalog
from blindsr.datasets.catalog import Index, Manifest, PackageSource
from blindsr.errors import UserError


def obtain(manifest: Manifest, roots: dict[str, Path]) -> Index:
    """Verified index of the set: from `roots` in place, or from its first source that works, into data/raw.

    Raises UserError, one line that says why every source failed and how to get the set.
    """
    unknown = set(roots) - {manifest.name} and [name for name in roots if not _has_manifest(name)]
    if unknown:
        raise UserError(f"data.roots names {unknown[0]!r}, which has no manifest in {paths.MANIFESTS}")
    folder = catalog.set_folder(manifest.name, roots)
    if manifest.name in roots:
        root = paths.project_root() / roots[manifest.name].expanduser()
        return catalog.inspect_weights(manifest, root) if root.is_file() else catalog.inspect(manifest, folder)
    reasons = []
    for source in manifest.sources:
        try:
            if isinstance(source, PackageSource):
                _copy_from_packages(manifest, source, folder)
                return catalog.inspect(manifest, folder)
        except UserError as error:
            reasons.append(str(error))
    raise UserError("; ".join([*reasons, f"{manifest.name} is missing: {manifest.how_to_get}"]))


def _has_manifest(name: str) -> bool:
    return (paths.MANIFESTS / f"{name}.yaml").is_file()


def _copy_from_packages(manifest: Manifest, source: PackageSource, folder: Path) -> None:
    places = [_package_folder(manifest, place) for place in source.folders]
    for file in manifest.expected:
        found = [place / file for place in places if (place / file).is_file()]
        if not found:
            raise UserError(f"{manifest.name}: no installed package has {file}: run `make setup` for the pinned ones")
        with found[0].open("rb") as original, files.atomic(folder / file) as copy:
            shutil.copyfileobj(original, copy)


def _package_folder(manifest: Manifest, place: str) -> Path:
    package, _, rest = place.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{manifest.name}: the package {package} is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0]) / rest
