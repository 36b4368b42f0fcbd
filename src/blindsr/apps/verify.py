"""Looks for damage in all that is here, and repairs what it can: dvc.lock, DVC's cache, the workspace, state, MLflow.

What is damaged in the cache is removed, what is damaged in the workspace comes back from the cache or is moved aside,
to .train_state/damaged/. `dvc pull` or `dvc repro` then brings back what is missing.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from blindsr.apps import lock_file
from blindsr.apps.dvc_cache import Cache
from blindsr.config.params import find
from blindsr.data import indices, lr_sums
from blindsr.runtime import files, paths, recorded
from blindsr.runtime.errors import UserError, one_line
from blindsr.runtime.progress import Bar
from blindsr.runtime.recorded import Out

_QUICK = 256 << 20  # bytes that are read before `make repro`, of the smallest outputs


def run(*, quick: bool = False, accepted: Path | None = None) -> None:
    """Look at everything, and repair.

    Args:
        quick: Look at dvc.lock, and at the smaller outputs in the workspace and the cache alone, which takes seconds.
        accepted: Look at nothing: record this output as right, though dvc.lock has another.

    Raises:
        UserError: that counts what was damaged; each is named in a line before. After a quick look, only where
            something can be neither mended nor removed.
    """
    if accepted:
        _accept(accepted)
    elif quick:
        _quick()
    else:
        _all()


def _accept(place: Path) -> None:
    if not place.exists():
        raise UserError(f"{place} is not there: name an output of a stage, such as models/srresnet-rff-0.safetensors")
    recorded.accept(place)
    print(f"{place} counts as it is now; `dvc commit -f` has DVC record it, too")


def _quick() -> None:
    found = _Findings(quick=True)
    found.lock()
    cache, room, chosen = Cache(), _QUICK, list[Out]()
    for size, out in sorted((_size(out, cache), out) for out in recorded.outs().values()):
        room -= size
        if room >= 0:
            chosen.append(out)
    names = {name for out in chosen for name in _objects(out, cache)}
    with Bar("verify", len(names) + len(chosen), quiet=True) as bar:
        found.cache(cache, [cache.object(name) for name in sorted(names)], bar)
        found.workspace(cache, chosen, bar)
    found.show()
    if found.left:
        raise UserError(f"{found.left} damaged files could not be removed: see the lines above")


def _all() -> None:
    from blindsr.apps import contents  # it imports torch, and a quick look is to take seconds

    found, params = _Findings(), None
    try:
        params = find(as_made=True)
    except UserError as error:
        found.say(str(error))
    found.lock()
    cache, outs = Cache(), list(recorded.outs().values())
    objects, states = cache.objects(), contents.states()
    with Bar("verify", len(objects) + len(outs) + len(states) + 4) as bar:
        found.cache(cache, objects, bar)
        for path in cache.wrong_runs():
            found.remove(path, cache.remove)
        bar.advance()
        found.workspace(cache, outs, bar)
        if not cache.linked:
            for out in outs:
                _unshare(Path(out.path), cache)
        for path, whole in states:
            if not whole(path):
                found.aside(path)
            bar.advance()
        for lines in (contents.manifests(), contents.sums(), contents.curves(params)):
            for line in lines:
                found.say(line)
            bar.advance()
    found.show()
    if found.count:
        raise UserError(
            f"{found.count} damaged (named above): `dvc pull` or `dvc repro` brings back what is missing; then run "
            "`blindsr verify` again, before `dvc push`"
        )
    if not (objects or outs or states or Path("dvc.yaml").is_file()):
        raise UserError(f"{Path.cwd()} holds nothing to verify: run this in the folder of a project")
    print(f"all is whole: {len(objects)} objects in the cache, {len(outs)} outputs, {len(states)} files of state")


class _Findings:
    """What was found, and what could be done about it."""

    def __init__(self, *, quick: bool = False) -> None:
        self.count = self.left = 0
        self._quick = quick
        self._removed = set[str]()
        self._lines: list[str] = []

    def say(self, line: str) -> None:
        self.count += 1
        self._lines.append(line)

    def show(self) -> None:
        for line in self._lines:
            print(f"damaged: {line}", flush=True)

    def lock(self) -> None:
        line = lock_file.restore()
        if line:
            self.say(line)

    def cache(self, cache: Cache, objects: Sequence[Path], bar: Bar) -> None:
        """Remove the objects that are not what their names say."""
        for path in objects:
            with contextlib.suppress(FileNotFoundError):
                if recorded.md5(path) != cache.name(path).removesuffix(".dir"):
                    self._removed.add(cache.name(path))
                    self.remove(path, cache.remove)
            bar.advance()

    def remove(self, path: Path, how: Callable[[Path], None]) -> None:
        try:
            how(path)
            self.say(f"{path}: removed from the cache")
        except OSError as error:
            self.left += 1
            self.say(f"{path} cannot be removed: {error.strerror}: {files.mend(error)}")

    def workspace(self, cache: Cache, outs: Sequence[Out], bar: Bar) -> None:
        """Put back, or aside, the files that are not what dvc.lock records. The cache has no bad objects any more."""
        for out in outs:
            place = Path(out.path)
            if place == paths.RAW:
                self._raw(cache, out)
            elif place.is_dir():
                self._folder(cache, out, place)
            elif place.is_file():
                self._file(cache, place, out.md5, recorded.md5(place), recorded.noted(place))
            bar.advance()

    def _file(self, cache: Cache, place: Path, wanted: str, found: str, noted: str = "") -> None:
        if found == wanted:
            self._put_back(cache, place, wanted)
        if found in (wanted, noted):
            return
        if cache.is_whole(wanted):
            self.aside(place, "another was in its place" if cache.is_whole(found) else "")
            _copy(cache.object(wanted), place)
        elif cache.is_whole(found):
            self._other(place)
        else:
            self.aside(place)

    def _other(self, place: Path) -> None:
        """What the cache knows is whole: of other settings, of another dvc.lock, or dvc.lock has a wrong digit."""
        if not self._quick:  # `dvc repro`, which comes after a quick look, knows what to do
            self.say(f"{place} is whole, but not what {recorded.LOCK} records: run `dvc repro`")

    def _folder(self, cache: Cache, out: Out, place: Path) -> None:
        hashes = {name: recorded.md5(place / name) for name in recorded.members(place)}
        own = recorded.folder_digest(hashes)
        if own == out.md5:
            self._put_back_folder(cache, place, own, hashes)
        if own in (out.md5, recorded.noted(place)):
            return
        listing = cache.listing(out.md5)
        if _carries_hashes(place):
            from blindsr.apps import contents

            if contents.is_whole(place):
                self._other(place)
                return
        if listing is None:
            if cache.is_whole(own):
                self._other(place)
            else:
                self.aside(place)
            return
        for name in sorted(hashes):
            if name in listing:
                self._file(cache, place / name, listing[name], hashes[name])
            elif not cache.is_whole(own):
                self.say(f"{place / name} is none of the pipeline's files: move it away")

    def _put_back(self, cache: Cache, place: Path, md5: str) -> None:
        """An object that was removed comes back from the workspace: else DVC would run the stage again."""
        if md5 in self._removed and not cache.object(md5).exists():
            cache.add(place.read_bytes(), md5)
            self._lines.append(f"{cache.object(md5)}: made again of {place}")

    def _put_back_folder(self, cache: Cache, place: Path, md5: str, hashes: Mapping[str, str]) -> None:
        for name, own in hashes.items():
            self._put_back(cache, place / name, own)
        if md5 in self._removed and not cache.object(md5).exists():
            cache.add(recorded.listing(hashes), md5)
            self._lines.append(f"{cache.object(md5)}: made again of {place}")

    def _raw(self, cache: Cache, out: Out) -> None:
        """The images that came from elsewhere, by the indices that were made when they were verified."""
        if self._removed:
            hashes = {name: recorded.md5(paths.RAW / name) for name in recorded.members(paths.RAW)}
            whole = recorded.folder_digest(hashes) == out.md5
            known = hashes if whole else cache.listing(out.md5) or {}
            right = {name: md5 for name, md5 in hashes.items() if known.get(name) == md5}
            self._put_back_folder(cache, paths.RAW, out.md5 if whole else "", right)
        listing = cache.listing(out.md5) or {}
        for index in _indices():
            folder = paths.RAW / index.name
            for image in index.images:
                place = folder / image.file
                if place.is_file() and files.sha256(place) != image.sha256:
                    wanted = listing.get(place.relative_to(paths.RAW).as_posix(), "")
                    self.aside(place)
                    if wanted and cache.is_whole(wanted):
                        _copy(cache.object(wanted), place)

    def aside(self, place: Path, why: str = "") -> None:
        """Move what is damaged out of the way."""
        root = paths.project_root()
        where = root / ".train_state" / "damaged" / os.path.relpath(place.absolute(), root)
        try:
            where.parent.mkdir(parents=True, exist_ok=True)
            if where.is_dir():
                where = where.with_name(f"{where.name}.{os.getpid()}")
            if place.is_dir():
                place.rename(where)
            else:
                files.move(place, where)
            self.say(f"{place}{why and f' ({why})'}: moved to {where}")
        except (OSError, UserError) as error:
            self.left += 1
            self.say(f"{place} cannot be moved away: {one_line(error)}")


def _carries_hashes(place: Path) -> bool:
    """Whether a folder says itself what belongs into it: it may have been made by hand, and be whole."""
    return place == paths.PATCHES or (place == paths.LR and (paths.LR / lr_sums.FILE).is_file())


def _size(out: Out, cache: Cache) -> int:
    """Bytes of an output, of the workspace or else the cache."""
    place = Path(out.path)
    if place.is_dir():
        return sum((place / name).stat().st_size for name in recorded.members(place))
    path = place if place.is_file() else cache.object(out.md5)
    return path.stat().st_size if path.is_file() else 0


def _objects(out: Out, cache: Cache) -> Iterator[str]:
    """Hashes of the objects that an output is made of."""
    yield out.md5
    if out.md5.endswith(".dir"):
        listing, place = cache.listing(out.md5), Path(out.path)
        if listing is None and place.is_dir():  # as it is here, if it is whole
            listing = {name: recorded.md5(place / name) for name in recorded.members(place)}
        yield from (listing or {}).values()


def _copy(source: Path, target: Path) -> None:
    with files.atomic(target) as file:
        file.write(source.read_bytes())


def _unshare(place: Path, cache: Cache) -> None:
    """Give the workspace files of its own where it shares them with the cache, as it did before."""
    for path in [place / name for name in recorded.members(place)] if place.is_dir() else [place]:
        if path.is_file() and (path.is_symlink() or path.stat().st_nlink > 1):
            shared = cache.object(recorded.md5(path))
            if shared.is_file() and shared.samefile(path):
                _copy(shared, path)


def _indices() -> Iterator[indices.Index]:
    for path in sorted(paths.INDEX.glob("*.json")):
        with contextlib.suppress(UserError):
            yield indices.read_index(path.stem)
