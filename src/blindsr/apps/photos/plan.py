"""Which photos an upscaling reads, and which file it makes of each."""

import glob
import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from blindsr.apps.photos import photos
from blindsr.runtime import files
from blindsr.runtime.errors import UserError

FORMATS = ("png", "jpg", "webp", "same")
_UNREAD = (".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd")
_LONGEST = 220  # bytes of a name without its ending
_WRITTEN = (".png", ".jpg", ".jpeg", ".jpe", ".webp", ".tif", ".tiff")  # the rest of what is read becomes PNG


class Item(NamedTuple):
    """One photo: the file to read, the file to make, and that one's container."""

    source: Path
    target: Path
    container: str

    @property
    def comparisons(self) -> tuple[Path, Path]:
        """The side-by-side PNG and the HTML page of `--compare`."""
        return self.target.with_suffix(".compare.png"), self.target.with_suffix(".compare.html")


def unread(inputs: Sequence[str]) -> Counter[str]:
    """How many photos of formats that are not supported lie in the folders that are given, by suffix."""
    found = Counter[str]()
    for given in inputs:
        for folder, folders, names in os.walk(given):
            folders[:] = [name for name in folders if not files.is_hidden(name)]
            visible = [Path(folder, name) for name in names if not files.is_hidden(name)]
            found.update(path.suffix.lower() for path in visible if path.suffix.lower() in _UNREAD)
    return found


class _Found(NamedTuple):
    source: Path
    folder: Path
    """Where its result goes."""
    stem: str


def plan(inputs: Sequence[str], out: Path | None, format: str | None, suffix: str) -> list[Item]:
    """What to make of files, folders (with all below them) and glob patterns, in the order of their names.

    With `out`, a file becomes out/<name> (or `out` itself, if that is named like an image), what is in a folder keeps
    its place below it, and so does what a pattern finds below its fixed part. Without, a file becomes
    <name><suffix> beside it, and a folder a folder <name><suffix> beside it. Where two photos would become one
    file, both keep their whole name: a.jpg.png; where that is not enough, as for cam1/a.jpg and cam2/a.jpg, their
    folders come in front: cam1_a.jpg.png. A name that is too long for a file system is cut, and ends with a hash.
    Photos that are themselves results of the same command are left out. `format` is one of `FORMATS`; None is that
    of `out`'s name, else png.

    Raises UserError for inputs that do not exist or hold no photo, and where a result would replace an input.
    """
    if format not in (*FORMATS, None):
        raise UserError(f"unknown format {format}: choose from {', '.join(FORMATS)}")
    single = out is not None and out.suffix.lower() in photos.SUFFIXES and not out.is_dir()
    found: dict[Path, _Found] = {}
    for given in inputs:
        for item in _find(given, None if single else out, suffix, several=len(inputs) > 1):
            found.setdefault(item.source.resolve(), item)
    if out is not None and single:
        if len(found) != 1:
            raise UserError(f"{len(found)} photos cannot all become {out}: give --out a folder")
        (item,) = found.values()
        container = _container(item.source, format) if format else photos.SUFFIXES[out.suffix.lower()]
        if out.suffix.lower() not in _WRITTEN or photos.SUFFIXES[out.suffix.lower()] != container:
            raise UserError(f"{out} would hold {container}: name it so, or give another --format")
        return _checked([Item(item.source, out, container)])
    items = _named_apart(list(found.values()), format)
    made = {path.resolve() for item in items for path in (item.target, *item.comparisons)}
    # of a pattern or a folder that also finds what an earlier run has made of its photos
    kept = [item for item in items if item.source.resolve() not in made or item.source == item.target]
    return _checked(kept)


def _find(given: str, out: Path | None, suffix: str, *, several: bool) -> Iterator[_Found]:
    path = Path(given)
    if path.is_dir():
        root = path.resolve()
        if out is not None:
            folder = out / root.name if several else out
        else:
            folder = path.with_name(path.name + suffix) if path.name else root.with_name(root.name + suffix)
        yield from _some(given, _below(path, folder, Path()))
    elif path.exists() or path.is_symlink():  # a link to nothing fails when it is read, and the others do not
        folder = path.parent if out is None else out
        yield _Found(path, folder, path.stem + ("" if out else suffix))
    elif glob.has_magic(given):
        matches = sorted(Path(match) for match in glob.glob(given, recursive=True))
        fixed = _fixed_part(path)
        listed: list[_Found] = []
        for match in matches:
            if out is None:
                if match.is_dir() or _is_photo(match):
                    listed += _find(str(match), None, suffix, several=False)
            elif match.is_dir():
                listed += _below(match, out, match.relative_to(fixed))
            elif _is_photo(match):
                listed.append(_Found(match, out / match.relative_to(fixed).parent, match.stem))
        yield from _some(given, listed)
    else:
        raise UserError(f"{given}: no such file or folder")


def _some(given: str, found: Iterable[_Found]) -> list[_Found]:
    listed = list(found)
    if not listed:
        raise UserError(f"{given} holds no photo ({' '.join(photos.SUFFIXES)})")
    return listed


def _below(root: Path, out: Path, place: Path) -> Iterator[_Found]:
    """All photos below a folder, but for those in `out` and in what is hidden."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(n for n in folders if not files.is_hidden(n) and (here / n).resolve() != out.resolve())
        for name in sorted(names):
            if _is_photo(here / name):
                yield _Found(here / name, out / place / here.relative_to(root), Path(name).stem)


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in photos.SUFFIXES and not files.is_hidden(path.name)


def _fixed_part(pattern: Path) -> Path:
    """The folder in front of the first wildcard."""
    fixed = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _named_apart(found: list[_Found], format: str | None) -> list[Item]:
    """A target of its own for each photo, also where a file system takes upper and lower case for the same."""
    stems = [item.stem for item in found]
    common = Path(os.path.commonpath([item.source.parent.absolute() for item in found]))
    longer: tuple[Callable[[_Found], str], ...] = (_whole_name, partial(_with_folders, common))
    for name in longer:
        items = [_item(item, stem, format) for item, stem in zip(found, stems, strict=True)]
        taken = Counter(_place(item.target) for item in items)
        if max(taken.values()) == 1:
            return items
        clashes = [taken[_place(item.target)] > 1 for item in items]
        stems = [name(item) if clash else stem for item, stem, clash in zip(found, stems, clashes, strict=True)]
    numbers, items = Counter[str](), []
    for item, stem in zip(found, stems, strict=True):
        made = _item(item, stem, format)
        numbers[_place(made.target)] += 1
        count = numbers[_place(made.target)]
        items.append(made if count == 1 else _item(item, f"{stem}_{count}", format))
    if len({_place(item.target) for item in items}) < len(items):
        raise UserError("some results would have the same name: upscale the folders one by one, each with its --out")
    return items


def _whole_name(found: _Found) -> str:
    return found.stem + found.source.suffix


def _with_folders(common: Path, found: _Found) -> str:
    """The folders that the photos do not have in common in front of the name."""
    return "_".join([*found.source.parent.absolute().relative_to(common).parts, _whole_name(found)])


def _place(target: Path) -> str:
    return unicodedata.normalize("NFC", str(target)).casefold()


def _item(found: _Found, stem: str, format: str | None) -> Item:
    container = _container(found.source, format)
    own = found.source.suffix
    end = own if format == "same" and own.lower() in _WRITTEN else f".{container}"
    return Item(found.source, found.folder / (_short(stem) + end), container)


def _short(stem: str) -> str:
    """A stem that leaves room for the endings of the files beside a result, in a name of 255 bytes."""
    coded = os.fsencode(stem)
    if len(coded) <= _LONGEST:
        return stem
    return f"{coded[: _LONGEST - 9].decode(errors='ignore')}-{hashlib.sha256(coded).hexdigest()[:8]}"


def _container(source: Path, format: str | None) -> str:
    return photos.SUFFIXES.get(source.suffix.lower(), "png") if format == "same" else format or "png"


def _checked(items: list[Item]) -> list[Item]:
    """Refuse results that would replace a photo that is read, also by another name of the same file."""
    sources = {_identity(item.source) for item in items if item.source.exists()}
    for item in items:
        for path in (item.target, *item.comparisons):
            if path.exists() and _identity(path) in sources:
                raise UserError(f"{path} would replace an input: give --out another folder")
    return items


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino
