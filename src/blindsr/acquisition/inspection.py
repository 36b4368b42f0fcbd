"""Is a folder the data set that its manifest describes? Names, number, sizes, hashes and image headers."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from blindsr.acquisition.catalog import FileEntry, Manifest
from blindsr.data import images
from blindsr.data.indices import Index, IndexedImage
from blindsr.runtime import escaping, files, paths
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

_log = logging.getLogger(__name__)
_MANY = 100  # files, from which on verifying shows its progress
_LONGEST_NAME = 200  # bytes; file systems take 255, and temporary and derived names are longer
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of control characters, of no text, and of ends of lines


def inspect(manifest: Manifest, folder: Path, *, in_place: bool = False) -> Index:
    """Check the set in a folder, and index it.

    Benchmarks whose pixels are known may have other file names and encodings: the images of the set are looked for
    among all images of the folder, and keep the names of the manifest.

    Where the manifest says neither which files the set has nor how many, an image that cannot be used is left out,
    with a warning.

    Args:
        manifest: What the set should be.
        folder: Where it lies.
        in_place: It is a folder of the user's own: the sides of its images are checked, too.

    Returns:
        The index of the verified files, with paths below the folder.

    Raises:
        UserError: that names the set, the file, what was expected, what was found, and what to do.
    """
    if not folder.is_dir():
        raise UserError(f"{manifest.name}: {folder} is not a folder: correct data.roots.{manifest.name}")
    if manifest.expected:
        chosen = _by_name(manifest, folder) or _by_pixels(manifest, folder)
    elif manifest.titles:
        chosen = _by_title(manifest, folder)
    else:
        chosen = _everything(manifest, folder)
    names = [_name_of(file) for file in chosen]
    duplicates = [name for name, times in Counter(names).items() if times > 1]
    if duplicates:
        raise UserError(f"{manifest.name}: {folder} holds two images named {min(duplicates)}: rename or remove one")
    found, left_out = [], []
    free = not (manifest.expected or manifest.titles or manifest.count)
    with Bar(f"{manifest.name}: verify", len(chosen), quiet=len(chosen) < _MANY) as bar:
        for (path, entry), name in zip(chosen.values(), names, strict=True):
            place = path.relative_to(folder).as_posix()
            bar.advance()
            try:
                _require_usable(manifest, place, name)
                indexed = _index_file(manifest, path, entry)
            except UserError as error:
                if not free:
                    raise
                _log.warning("%s; it is left out", error)
                left_out.append(escaping.terminal(place))
                continue
            if in_place:
                _check_side(manifest, path, indexed)
            found.append(indexed.model_copy(update={"name": name, "file": place}))
    if left_out and not found:
        raise UserError(f"{manifest.name}: none of {len(left_out)} images in {folder} can be used (named above)")
    return manifest.index(images=found, left_out=left_out)


def inspect_weights(manifest: Manifest, file: Path) -> Index:
    """Index the one file that the user gives as the root of a set of weights.

    Args:
        manifest: Of the set.
        file: Its name and hash are free.

    Raises:
        UserError: if the set is none of weights.
    """
    if manifest.role != "weights":
        raise UserError(f"{manifest.name}: data.roots.{manifest.name} is a file: name the folder of its images")
    return manifest.index(images=[_index_file(manifest, file, FileEntry())])


def absent_files(manifest: Manifest, folder: Path) -> list[str]:
    """List the files of a set that are not there, or not whole.

    Args:
        manifest: Of the set; without names of files, nothing is absent.
        folder: Where they should be.

    Returns:
        Their names, in the order of the manifest.
    """
    return [
        file
        for file, entry in manifest.expected.items()
        if not (folder / file).is_file() or entry.size not in (None, (folder / file).stat().st_size)
    ]


def count(manifest: Manifest, folder: Path) -> int:
    """Count the images of a set whose manifest does not name them.

    Args:
        manifest: Of the set.
        folder: Where they lie.
    """
    return len(_wanted(manifest, folder))


def is_right(path: Path, entry: FileEntry) -> bool:
    """Whether the file is there, with the size and the SHA-256 that are known of it."""
    if not path.is_file() or entry.size not in (None, path.stat().st_size):
        return False
    return entry.sha256 is None or files.sha256(path) == entry.sha256


def pixel_hash(path: Path, multiple: int = 4) -> str:
    """Hash an image's size and RGB pixels, mod-cropped: equal for copies of any name and lossless format.

    Args:
        path: Path of the image.
        multiple: px whose multiples both sides are cut to.

    Returns:
        SHA-256, as 64 hexadecimal digits, of the text "<width>x<height>" and the bytes row by row.

    Raises:
        UserError: for a broken image.
    """
    pixels = images.mod_crop(images.read_rgb(path), multiple)
    height, width = pixels.shape[:2]
    return files.sha256(f"{width}x{height}".encode() + pixels.tobytes())


_Chosen = dict[str, tuple[Path, FileEntry]]  # file name that the set gives it -> where it is, what is known of it


def _by_name(manifest: Manifest, folder: Path) -> _Chosen | None:
    """The files of the manifest under their names; None if some are absent but may be known by their pixels."""
    absent = [file for file in manifest.expected if not (folder / file).is_file()]
    if not absent:
        return {file: (folder / file, entry) for file, entry in manifest.expected.items()}
    if manifest.known_pixels:
        return None
    raise _incomplete(manifest, folder, absent)


def _by_pixels(manifest: Manifest, folder: Path) -> _Chosen:
    wanted, found = manifest.known_pixels, {}
    for path in _images_below(folder):
        file = wanted.get(pixel_hash(path))
        if file and file not in found:
            found[file] = (path, FileEntry())
    absent = [file for file in manifest.expected if file not in found]
    if absent:
        raise _incomplete(manifest, folder, absent, "; no other image there has its pixels")
    return {file: found[file] for file in manifest.expected}


def _by_title(manifest: Manifest, folder: Path) -> _Chosen:
    left = {_letters(path.stem): path for path in _images_below(folder)}
    chosen: _Chosen = {}
    for title in sorted(manifest.titles, key=len, reverse=True):  # of two that begin alike, the longer one first
        matches = sorted(key for key in left if key.startswith(_letters(title)))
        if matches:
            path = left.pop(matches[0])
            chosen[path.name] = (path, FileEntry())
    if len(chosen) < len(manifest.titles) or left:
        have = {_letters(Path(file).stem) for file in chosen}
        absent = [title for title in manifest.titles if not any(key.startswith(_letters(title)) for key in have)]
        what = f"{absent[0]} is not there" if absent else f"{min(left.values()).name} does not belong to it"
        raise UserError(
            f"{manifest.name}: {folder} must hold one image for each of {len(manifest.titles)} titles, and {what}: "
            "complete or tidy the folder"
        )
    return dict(sorted(chosen.items()))


def _everything(manifest: Manifest, folder: Path) -> _Chosen:
    wanted = _wanted(manifest, folder)
    if not wanted:
        which = f"at {manifest.only} " if manifest.only else ""
        raise UserError(f"{manifest.name}: {folder} holds no image {which}({', '.join(images.SUFFIXES)})")
    found = {str(place): (folder / place, FileEntry()) for place in wanted}
    if manifest.count is not None and len(found) != manifest.count:
        raise UserError(
            f"{manifest.name}: {folder} holds {len(found)} images, expected {manifest.count}: complete or tidy it"
        )
    return found


def _wanted(manifest: Manifest, folder: Path) -> list[Path]:
    below = [path.relative_to(folder) for path in _images_below(folder)]
    return [place for place in below if not manifest.only or place.match(manifest.only)]


def _images_below(folder: Path) -> Iterator[Path]:
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in images.SUFFIXES and path.is_file())
    return iter(sorted(path for path in paths if not any(map(files.is_hidden, path.relative_to(folder).parts))))


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _name_of(file: str) -> str:
    """Name of a file in tables and as a file of its own: its path without suffix, folders joined by a hyphen."""
    return "-".join(Path(file).with_suffix("").parts)


def _incomplete(manifest: Manifest, folder: Path, absent: list[str], more: str = "") -> UserError:
    return UserError(
        f"{manifest.name}: {len(absent)} of {len(manifest.expected)} files are not in {folder} (first: {absent[0]}"
        f"{more}): complete the folder"
    )


def _require_usable(manifest: Manifest, place: str, name: str) -> None:
    """Refuse a file whose name the index, a table or a file of the same name could not hold."""
    where = f"{manifest.name}: {escaping.terminal(place)}"
    if any(unicodedata.category(letter) in _NO_TEXT for letter in place):
        raise UserError(f"{where}: its name is not text in UTF-8, or has a control character: rename it")
    try:
        paths.require_inside(place)
    except ValueError:
        raise UserError(f"{where}: its name means another place on some systems: rename it") from None
    if len(name.encode()) > _LONGEST_NAME:
        raise UserError(f"{where}: its name, with its folders, is longer than {_LONGEST_NAME} bytes: shorten it")


def _index_file(manifest: Manifest, path: Path, entry: FileEntry) -> IndexedImage:
    try:
        size, digest = path.stat().st_size, files.sha256(path)
    except OSError as error:
        raise UserError(f"{manifest.name}: {path} cannot be read ({error.strerror}): check its rights") from None
    if entry.size not in (None, size):
        raise _damaged(manifest, path, f"has {size} bytes, expected {entry.size}")
    if entry.sha256 and digest != entry.sha256:
        raise _damaged(manifest, path, f"has SHA-256 {digest[:12]}…, expected {entry.sha256[:12]}…")
    width = height = 0
    if manifest.role != "weights":
        try:
            width, height = images.size(path)
        except UserError as error:
            raise UserError(f"{manifest.name}: {error}") from None
    return IndexedImage(name=path.stem, file=path.name, width=width, height=height, sha256=digest)


def _check_side(manifest: Manifest, path: Path, image: IndexedImage) -> None:
    if manifest.long_side not in (None, max(image.width, image.height)):
        raise UserError(
            f"{manifest.name}: {path} is {image.width}x{image.height} px, expected a larger side of "
            f"{manifest.long_side} px: is this folder another set? Correct data.roots.{manifest.name}"
        )


def _damaged(manifest: Manifest, path: Path, what: str) -> UserError:
    return UserError(f"{manifest.name}: {path} {what}: it is damaged or another file: replace or delete it")
