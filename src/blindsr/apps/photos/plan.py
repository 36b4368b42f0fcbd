"""Which photos an upscaling reads, and which file it makes of each."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from blindsr.apps.photos import photos
from blindsr.runtime.errors import UserError

FORMATS = ("png", "jpg", "webp", "same")
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
    file, both keep their whole name: a.jpg.png. Photos that are themselves results of the same command are left
    out. `format` is one of `FORMATS`; None is that of `out`'s name, else png.

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
    items = [_item(item, format, whole_name=False) for item in found.values()]
    taken = Counter(item.target for item in items)
    if max(taken.values()) > 1:
        pairs = zip(items, found.values(), strict=True)
        items = [_item(f, format, whole_name=True) if taken[i.target] > 1 else i for i, f in pairs]
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
    elif path.exists():
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
        folders[:] = sorted(n for n in folders if not n.startswith(".") and (here / n).resolve() != out.resolve())
        for name in sorted(names):
            if _is_photo(here / name):
                yield _Found(here / name, out / place / here.relative_to(root), Path(name).stem)


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in photos.SUFFIXES and not path.name.startswith(".")


def _fixed_part(pattern: Path) -> Path:
    """The folder in front of the first wildcard."""
    fixed = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _item(found: _Found, format: str | None, *, whole_name: bool) -> Item:
    container = _container(found.source, format)
    own = found.source.suffix
    same = format == "same" and own.lower() in _WRITTEN
    name = found.stem + (own if whole_name else "") + (own if same else f".{container}")
    return Item(found.source, found.folder / name, container)


def _container(source: Path, format: str | None) -> str:
    return photos.SUFFIXES.get(source.suffix.lower(), "png") if format == "same" else format or "png"


def _checked(items: list[Item]) -> list[Item]:
    """Refuse results that would replace a photo that is read, also by another name of the same file."""
    sources = {_identity(item.source): item.source for item in items}
    for item in items:
        for path in (item.target, *item.comparisons):
            if path.exists() and _identity(path) in sources:
                raise UserError(f"{path} would replace an input: give --out another folder")
    return items


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino
