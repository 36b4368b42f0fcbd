"""upscale: a network on a user's own photos."""

import contextlib
import mmap
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import blindsr
from blindsr.apps import models
from blindsr.apps.photos import compare, photos, plan
from blindsr.apps.photos.photos import Photo
from blindsr.apps.photos.pixels import Upscaler
from blindsr.apps.photos.plan import Item
from blindsr.model.inference import Tile
from blindsr.runtime import command, devices, files, parallel
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

_MOST_PX = {"webp": 16383, "jpg": 65535}
"""Pixels of a side that a container holds."""


class _Step(NamedTuple):
    """A photo on its way from file to file."""

    item: Item
    digest: str = ""
    lr: Photo | None = None
    sr: Photo | None = None
    finished: bool = False
    """The result is there from an earlier run."""
    error: str = ""
    lost: str = ""
    """What of the photo was damaged and is not in the result."""


class _Job(NamedTuple):
    """What is the same for all photos."""

    model: str
    model_digest: str
    alpha: bool
    compared: bool
    scale: int


def run(
    inputs: Sequence[str],
    model: str,
    *,
    scale: int | None = None,
    out: Path | None = None,
    tile: Tile = "auto",
    overlap: int | None = None,
    device: str = "auto",
    format: str | None = None,
    alpha: bool = True,
    compared: bool = False,
    trust: bool = False,
    threads: int | None = None,
) -> None:
    """Upscale photos with the network of `models.read`, as `plan.plan` reads `inputs`, `out` and `format`.

    A result counts as finished if its file carries the mark of the same photo (by content), weights, settings and
    version: it is not computed again. A file in the way that has no such mark at all is never replaced. Decoding
    and encoding run beside the network, one photo ahead and behind. With `compared`, two comparisons lie beside
    each result. Without `alpha`, transparency is dropped. `threads` is how many the caller lets torch have: encoding
    takes half as many, at most 4; None: all cores.

    Raises UserError for wrong arguments, for a folder that cannot be written, and, after all others are done, one
    that counts the photos that failed, each of which has its line on stderr.
    """
    where = devices.choose(device)
    network, scale, weights = models.read(model, scale, trust=trust)
    items = plan.plan(inputs, out, format, f"_x{scale}")
    devices.keep_freed_memory()
    job = _Job(Path(model).stem, files.sha256(weights) if weights else f"{model} x{scale}", alpha, compared, scale)
    upscaler = Upscaler(devices.place(network, where), scale, tile, models.overlap(network, overlap))
    writers = max(1, min(4, (threads or parallel.usable_cores()) // 2))
    done = finished = 0
    errors, lost, kept = [], [], list[Path]()

    def write(step: _Step) -> _Step:
        written = _write(job, step)
        kept.extend([] if written.error else [step.item.target])
        return written

    def said() -> str:
        return f"{len(kept)} of {len(items)} photos are done, the same command goes on with the others"

    with command.stoppable(said), warnings.catch_warnings(), Bar("upscale", len(items)) as bar:
        warnings.simplefilter("ignore")  # of Pillow, about odd EXIF and about large photos
        read = parallel.map_ordered(partial(_read, job), items, 1)
        for step in parallel.map_ordered(write, _upscaled(read, upscaler, bar), writers):
            done += not (step.error or step.finished)
            finished += step.finished
            if step.error:
                errors.append(f"{step.item.source} {step.error}")
            if step.lost:
                lost.append(f"{step.item.source}: {step.lost} was damaged, and is not in the result")
            bar.advance(note=step.item.source.name)
    unread = plan.unread(inputs)
    if unread:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(unread.items()))
        lost.append(f"not read: {kinds}; convert them to PNG, TIFF or JPEG first")
    for line in lost:
        bar.say(f"note: {line}")
    for line in errors:
        bar.say(f"error: {line}")
    places = {item.target.parent for item in items}
    place = items[0].target if len(items) == 1 else min(places, key=lambda folder: len(folder.parts))
    before = f", {finished} finished before" if finished else ""
    where_to = f": {place}" if done or finished else ""
    print(f"{done} upscaled by {scale}{before}, {len(errors)} failed{where_to}")
    if errors:
        raise UserError(f"{len(errors)} of {len(items)} photos failed, named above; the others are done")


def _read(job: _Job, item: Item) -> _Step:
    """Decode a photo, unless its result is finished."""
    try:
        content = files.read_bytes(item.source)
    except OSError as error:
        return _Step(item, error=f"cannot be read ({error.strerror})")
    determining = [
        blindsr.__version__,
        files.sha256(content),
        job.model_digest,
        item.container,
        job.alpha,
    ]
    step = _Step(item, files.key(determining)[:32])
    wanted = [item.target, *(item.comparisons if job.compared else ())]
    for path in wanted:
        if path.exists() and not _marked(path):
            return step._replace(error=f"has no room: {path} is there and was not made by `blindsr upscale`; move it")
    complete = [path.exists() and _marked(path, step.digest) for path in wanted]
    if all(complete):
        return step._replace(finished=True)
    try:
        lr = photos.decode(content)
        if lr.alpha is not None and not job.alpha:
            lr = lr._replace(alpha=None)
        sr = _result(item.target) if complete[0] else None  # only the comparisons are missing
    except (UserError, MemoryError, OSError) as error:
        return step._replace(error=str(error) or "does not fit into the memory")
    if lr.alpha is not None and item.container == "jpg":
        return step._replace(error="has transparency, which JPEG cannot hold: choose png or webp, or --no-alpha")
    longest = job.scale * max(lr.colour.shape[:2])
    if longest > _MOST_PX.get(item.container, longest):
        most = f"{item.container} holds {_MOST_PX[item.container]}"
        return step._replace(error=f"would have a side of {longest} pixels, and {most}: choose --format png")
    return step._replace(lr=lr, sr=sr, lost=lr.lost)


def _result(path: Path) -> Photo | None:
    """A photo written before; None for a layout that is written, but cannot be read: it is computed again."""
    try:
        return photos.decode(path.read_bytes())
    except UserError:
        return None


def _upscaled(steps: Iterator[_Step], upscaler: Upscaler, bar: Bar) -> Iterator[_Step]:
    for step in steps:
        if step.lr is None or step.sr is not None:
            yield step
            continue

        def report(done: int, count: int, name: str = step.item.source.name) -> None:
            bar.advance(0, note=f"{name}: tile {done} of {count}")

        try:
            sr = upscaler(step.lr, report)
        except (UserError, MemoryError) as error:
            yield step._replace(lr=None, error=f"cannot be upscaled: {error or 'it does not fit into the memory'}")
            continue
        yield step._replace(sr=sr)


def _write(job: _Job, step: _Step) -> _Step:
    """Encode and write; raises UserError where the folder cannot be written: the next photo could not be, either."""
    if step.error or step.finished or step.lr is None or step.sr is None:
        return step
    item, done = step.item, step._replace(lr=None, sr=None)  # what is not needed any more takes no memory
    if not (item.target.exists() and _marked(item.target, step.digest)):
        try:
            content = photos.encode(step.sr, item.container, step.digest)
        except (UserError, MemoryError) as error:
            return done._replace(error=str(error) or "does not fit into the memory")
        files.write_atomic(item.target, content)
    if job.compared:
        compare.write(step.lr, step.sr, job.model, step.digest, *item.comparisons)
    return done


def _marked(path: Path, digest: str = "") -> bool:
    """Whether a file was made by this app, and with these settings; it is searched, not decoded."""
    with (
        contextlib.suppress(OSError, ValueError),  # ValueError: an empty file
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return photos.is_marked(content, digest)
    return False
