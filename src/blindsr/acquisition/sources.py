"""Where a data set's files come from: the user's own folder, installed packages, the network, another set."""

import importlib.util
import logging
import shutil
from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

from blindsr.acquisition import catalog, inspection
from blindsr.acquisition.archive import unpack
from blindsr.acquisition.catalog import (
    ArchiveSource,
    DownscaledSource,
    FilesSource,
    Manifest,
    PackageSource,
    Source,
    UserSource,
)
from blindsr.config.schema import DataParams
from blindsr.data import images, indices
from blindsr.data.indices import Index
from blindsr.runtime import files, packages, parallel, paths
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

_log = logging.getLogger(__name__)


def obtain(manifest: Manifest, data: DataParams) -> Index:
    """Get and verify a set: from `data.roots` in place, else in data/raw, from the first source that works.

    What is in data/raw and right is not fetched again; what is damaged there is. Downloads go to the folder
    `.downloads` of the project first.

    Args:
        manifest: Of the set.
        data: Settings: roots, mirror, and whether hosts may be asked.

    Returns:
        The index of its verified files.

    Raises:
        UserError: in one line that says why every source failed and how to get the set; or what is wrong with the
            files that are there.
    """
    if manifest.name in data.roots:
        root = indices.root_path(data.roots[manifest.name])
        if root.is_file():
            return inspection.inspect_weights(manifest, root)
        return inspection.inspect(manifest, root, in_place=True)
    folder = paths.RAW / manifest.name
    _drop_damaged(manifest, folder)
    reasons: list[str] = []
    if not _is_absent(manifest, folder):
        return inspection.inspect(manifest, folder)
    for source in manifest.sources:
        try:
            _take(manifest, source, folder, data)
            return inspection.inspect(manifest, folder)
        except UserError as error:
            reasons.append(str(error))
    raise UserError("; ".join(dict.fromkeys(reasons)))


def downloads_folder() -> Path:
    """Where unfinished downloads and archives lie, also for queued and temporary experiments."""
    return paths.project_root() / ".downloads"


def sweep() -> None:
    """Delete complete archives, whose files are in data/raw by now; unfinished downloads stay to be resumed."""
    for path in downloads_folder().glob("*"):
        if path.is_file() and ".part" not in path.suffixes:
            path.unlink()


def _take(manifest: Manifest, source: Source, folder: Path, data: DataParams) -> None:
    """Bring the set's files into `folder`. Raises UserError that says why this source has not got them."""
    match source:
        case PackageSource():
            _copy_from_packages(manifest, source, folder)
        case FilesSource():
            _require_network(manifest, source.url, data)
            _download_files(manifest, source, folder, data)
        case ArchiveSource():
            _require_network(manifest, source.url, data)
            from blindsr.acquisition.download import download

            url = _mirrored(source.url, data)
            archive = downloads_folder() / Path(urlsplit(url).path).name
            checks = {"size": source.size, "md5": source.md5, "sha256": source.sha256}
            download(url, archive, label=manifest.name, **checks)  # type: ignore[arg-type]
            unpack(archive, source.members, folder, label=manifest.name)
        case DownscaledSource():
            _downscale(manifest, source, folder, data)
        case UserSource():
            raise UserError(f"{manifest.name} is missing: {manifest.how_to_get}")
        case _:
            assert_never(source)


def _is_absent(manifest: Manifest, folder: Path) -> bool:
    """Nothing of the set, or not all of it, is in `folder`."""
    return not folder.is_dir() or not any(folder.iterdir()) or bool(inspection.absent_files(manifest, folder))


def _drop_damaged(manifest: Manifest, folder: Path) -> None:
    """Delete files of the set that are not what they should be, so that they are fetched again."""
    for file, entry in manifest.expected.items():
        path = folder / file
        if path.is_file() and entry.sha256 and not inspection.is_right(path, entry):
            _log.warning(
                "%s: %s was damaged or of another version: deleted, to be fetched again", manifest.name, path
            )
            path.unlink()


def _require_network(manifest: Manifest, url: str, data: DataParams) -> None:
    if data.offline:
        raise UserError(
            f"{manifest.name}: offline, so {_mirrored(url, data)} is not asked: set data.offline to false"
        )
    packages.require("requests", f"downloading {manifest.name}")


def _mirrored(url: str, data: DataParams) -> str:
    """The URL on the mirror, if there is one: <mirror>/<host>/<path>, the tree that `wget -x` makes."""
    if data.mirror is None:
        return url
    parts = urlsplit(url)
    return f"{data.mirror.rstrip('/')}/{parts.netloc}{parts.path}"


def _download_files(manifest: Manifest, source: FilesSource, folder: Path, data: DataParams) -> None:
    """Fetch the files that are not here yet; each that came and is right stays, whatever happens to the others."""
    from blindsr.acquisition.download import Job, download_all

    waiting = downloads_folder() / manifest.name
    wanted = [file for file, entry in manifest.expected.items() if not inspection.is_right(folder / file, entry)]
    jobs = [
        Job(
            url=_mirrored(source.url_of(file), data),
            target=waiting / file,
            size=manifest.expected[file].size,
            sha256=manifest.expected[file].sha256,
            label=manifest.name,
        )
        for file in wanted
    ]
    try:
        download_all(jobs)
    finally:
        for file in wanted:
            if (waiting / file).is_file():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(waiting / file, folder / file)
        if waiting.is_dir() and not any(waiting.iterdir()):
            waiting.rmdir()


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


def _downscale(manifest: Manifest, source: DownscaledSource, folder: Path, data: DataParams) -> None:
    """Derive the set from the user's copy of the set it is made of; images that are here are not made again."""
    original = catalog.load_manifest(source.of)
    if source.of not in data.roots:
        raise UserError(f"{manifest.name} can be made from {source.of}: {original.how_to_get}")
    index = inspection.inspect(original, indices.root_path(data.roots[source.of]), in_place=True)
    root = indices.set_folder(source.of, data.roots)
    folder.mkdir(parents=True, exist_ok=True)
    todo = [image for image in index.images if not (folder / f"{image.name}.png").is_file()]

    def make(image: indices.IndexedImage) -> None:
        hr = images.mod_crop(images.read_rgb(root / image.file), source.factor)
        images.write_png(folder / f"{image.name}.png", images.bicubic_downscale(hr, source.factor))

    with Bar(f"{manifest.name}: downscale", len(todo)) as bar:
        for _ in parallel.map_ordered(make, todo, parallel.usable_cores()):
            bar.advance()
