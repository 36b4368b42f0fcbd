"""The HR images that a leaderboard is of: data sets of the project by name, and any folders."""

from collections.abc import Sequence
from pathlib import Path

from blindsr.acquisition import catalog, folder, inspection
from blindsr.acquisition.folder import HrFolder
from blindsr.config.params import Params
from blindsr.data import indices
from blindsr.data.indices import Index
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError


def find(names: Sequence[str], project: Params | None) -> list[HrFolder]:
    """Find the images of each set.

    Args:
        names: Each the name of a set that the project has, NAME=FOLDER, or a folder, which is called as it is called.
        project: Settings of the project in the working directory; None outside of one.

    Returns:
        The sets in order. Names decide the noise: the same images under other names have other noise.

    Raises:
        UserError: for no set, one that is not here, or two of one name.
    """
    found: list[HrFolder] = []
    for text in names:
        name, equals, place = text.partition("=")
        if equals and not (name.strip() and place.strip()):
            raise UserError(f"--on {text}: write NAME=FOLDER")
        if equals:
            source = HrFolder(name.strip(), folder.open_folder(Path(place.strip()).expanduser()).files)
        else:
            source = _named(name, project)
        if any(other.name == source.name for other in found):
            raise UserError(f"--on has two sets named {source.name}: write NAME=FOLDER with another name for one")
        found.append(source)
    if not found:
        raise UserError("--on names no set: give some, such as Set5,Set14 or Kodak=FOLDER")
    return found


def _named(name: str, project: Params | None) -> HrFolder:
    if name not in catalog.known_sets():
        place = Path(name).expanduser()
        if place.is_dir():
            return folder.open_folder(place)
        known = ", ".join(catalog.known_sets())
        hint = f"give --on {place.name}=FOLDER{f', or one of {known}' if known else ''}"
        raise UserError(f"{name} is neither a data set here nor a folder: {hint}")
    manifest = catalog.load_manifest(name)
    roots = project.data.roots if project else {}
    where = indices.set_folder(name, roots)
    index = indices.read_index(name) if (paths.INDEX / f"{name}.json").is_file() else None
    if index is None and where.is_dir():
        index = inspection.inspect(manifest, where)
    if index is None or not index.images:
        why = index.missing if index and index.missing else manifest.how_to_get
        raise UserError(f"{name} is not here: give --on {name}=FOLDER; or {why}")
    _require_images(index, manifest.role)
    return HrFolder(name, {image.name: where / image.file for image in index.images})


def _require_images(index: Index, role: str) -> None:
    if index.is_real or role == "weights":
        raise UserError(f"{index.name} is a set of {role}, and a leaderboard degrades HR images itself: name others")
