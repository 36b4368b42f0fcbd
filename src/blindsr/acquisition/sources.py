"""Where a data set's files come from: the user's own folder, installed packages, the network, another set."""

import importlib.util
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

from blindsr.acquisition import catalog, fetched, inspection
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
from blindsr.runtime import escaping, files, packages, parallel, paths
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

_log = logging.getLogger(__name__)
_UNPACKING = ".unpacking"  # ends the name of a folder that is not whole yet
_LONGEST_NAME = 150  # bytes of an archive's name


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
    if _is_complete(manifest, folder):
        return inspection.inspect(manifest, folder)
    for source in manifest.sources:
        try:
            _take(manifest, source, folder, data)
            index = inspection.inspect(manifest, folder)
        except UserError as error:
            reasons.append(str(error))
            continue
        if _is_counted(manifest):
            fetched.keep_images(manifest.name, inspection.count(manifest, folder))
        return index
    if _is_counted(manifest) and folder.is_dir():
        here = inspection.count(manifest, folder)
        reasons.append(f"if the {here} images in {folder} are all of it, set data.roots.{manifest.name} to a copy")
    raise UserError("; ".join(dict.fromkeys(reasons)))


def downloads_folder() -> Path:
    """Where unfinished downloads and archives lie, also for queued and temporary experiments."""
    return paths.project_root() / ".downloads"


def archive_of(url: str) -> Path:
    """Where an archive is downloaded to: archives of two addresses never share a file, whatever they are called."""
    name = Path(urlsplit(url).path).name
    return downloads_folder() / f"{files.key(url)[:12]}-{escaping.file_name(name, _LONGEST_NAME)}"


def sweep() -> None:
    """Delete complete archives, whose files are in data/raw by now, and what killed unpackings left.

    Unfinished downloads stay to be resumed.
    """
    for path in downloads_folder().glob("*"):
        if path.is_file() and ".part" not in path.suffixes:
            path.unlink()
    for path in paths.RAW.glob(f".*{_UNPACKING}"):
        shutil.rmtree(path, ignore_errors=True)


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
            archive = _download_archive(manifest, source, data)
            if _is_counted(manifest):
                _unpack_whole(archive, source.members, folder, manifest.name)
            else:
                unpack(archive, source.members, folder, label=manifest.name)
        case DownscaledSource():
            _downscale(manifest, source, folder, data)
        case UserSource():
            raise UserError(f"{manifest.name} is missing: {manifest.how_to_get}")
        case _:
            assert_never(source)


def _is_complete(manifest: Manifest, folder: Path) -> bool:
    """All of the set is in `folder`, by the names or the number of its files."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    if _is_counted(manifest):
        return inspection.count(manifest, folder) == (manifest.count or fetched.images(manifest.name))
    return not inspection.absent_files(manifest, folder)


def _is_counted(manifest: Manifest) -> bool:
    """Nothing but their number tells whether all files of a set are there that is made or unpacked here."""
    made = any(isinstance(source, ArchiveSource | DownscaledSource) for source in manifest.sources)
    return made and not manifest.expected and not manifest.titles


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


def _download_archive(manifest: Manifest, source: ArchiveSource, data: DataParams) -> Path:
    """Fetch an archive, the same as ever: where the manifest has no SHA-256, it is that of the first time."""
    from blindsr.acquisition.download import download

    archive = archive_of(source.url)
    sha256 = source.sha256 or fetched.sha256(source.url, source.md5, source.size)
    try:
        download(
            _mirrored(source.url, data),
            archive,
            size=source.size,
            md5=source.md5,
            sha256=sha256,
            label=manifest.name,
        )
    except UserError as error:
        raise _of_first_time(error, [] if source.sha256 else [sha256]) from None
    if sha256 is None:
        fetched.keep_sha256(source.url, files.sha256(archive), source.md5, source.size)
    return archive


def _of_first_time(error: UserError, first: Iterable[str | None]) -> UserError:
    """The error of a download, with what is to be known where it is not the file that it was."""
    if not any(sha256 and sha256 in str(error) for sha256 in first):
        return error
    return UserError(f"{error} (that one is of the first fetch: to trust the new file, delete it in {paths.FETCHED})")


def _unpack_whole(archive: Path, members: str, folder: Path, label: str) -> None:
    """Unpack so that the folder has either all files of the archive, and no other, or is not there."""
    folder = folder.resolve()
    waiting = folder.with_name(f".{folder.name}{_UNPACKING}")
    try:
        if waiting.exists():
            shutil.rmtree(waiting)
        unpack(archive, members, waiting, label=label)
        if folder.exists():
            shutil.rmtree(folder)
        waiting.rename(folder)
    except OSError as error:
        raise files.problem(folder, error) from None


def _download_files(manifest: Manifest, source: FilesSource, folder: Path, data: DataParams) -> None:
    """Fetch the files that are not here yet; each that came and is right stays, whatever happens to the others."""
    from blindsr.acquisition.download import Job, download_all

    waiting = downloads_folder() / manifest.name
    expected = manifest.expected
    wanted = [file for file, entry in expected.items() if not inspection.is_right(folder / file, entry)]
    first = {file: fetched.sha256(source.url_of(file), size=expected[file].size) for file in wanted}
    jobs = [
        Job(
            url=_mirrored(source.url_of(file), data),
            target=waiting / file,
            size=expected[file].size,
            sha256=expected[file].sha256 or first[file],
            label=manifest.name,
        )
        for file in wanted
    ]
    try:
        download_all(jobs)
    except UserError as error:
        raise _of_first_time(error, first.values()) from None
    finally:
        for file in wanted:
            if (waiting / file).is_file():
                if not (expected[file].sha256 or first[file]):
                    fetched.keep_sha256(source.url_of(file), files.sha256(waiting / file), size=expected[file].size)
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
