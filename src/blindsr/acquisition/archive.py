"""Files out of a zip or tar archive that nobody vouches for."""

import bz2
import fnmatch
import gzip
import io
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from blindsr.runtime import files, temporary, zip_files
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

MAX_BYTES = 64 << 30
_MAX_RATIO = 200  # images hardly shrink; a bomb of zeros shrinks a thousandfold and more
_SMALL = 64 << 20  # below this no ratio is suspicious
_MAX_HEADER = 16 << 20  # what the tar reader may ask for in one read
_LONGEST_NAME = 200  # bytes; file systems take 255, and temporary names are longer than the last ones
_MOST_MEMBERS = 100_000
_PIECE = 1 << 20
_ELSEWHERE = "do not use this archive: delete it and take the set from its publisher"


@dataclass(frozen=True)
class _Member:
    path: str  # with "/" between the parts, without "./" in front
    size: int
    trouble: str | None  # why it is not a plain file
    open: Callable[[], IO[bytes]]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def unpack(archive: Path, members: str, folder: Path, *, max_bytes: int = MAX_BYTES, label: str) -> list[Path]:
    """Take files out of a zip or tar (gz, bz2, xz) archive, flattened into one folder.

    The kind of archive is recognized by content. Hidden files and folders, such as __MACOSX, are passed over. Nothing
    is written before every member was looked at; each file is whole or not there, and a second call writes all of
    them anew.

    Args:
        archive: Path of the archive.
        members: Glob against the whole path inside the archive; its * crosses "/". Plain files that match are taken.
        folder: Where they go; made where it is missing.
        max_bytes: Most that may come out in all.
        label: Name of the data set, for messages.

    Returns:
        The written files, sorted.

    Raises:
        UserError: in one line with set, archive and member: neither zip nor tar; damaged or cut off; encrypted;
            absolute or upward path, or more than 100,000 members, anywhere in it; a link or device, or two files of
            one name, among the matching ones; more than `max_bytes` or a ratio that only a bomb has, by what it
            declares or by what comes out; nothing matches; too little room on the disk.
    """
    if not archive.is_file():
        raise UserError(f"{label}: {archive} is not there: fetch it first")
    with _reading(archive, label), _opened(archive, label, max_bytes) as found:
        chosen = _choose(found, members, archive, label, max_bytes)
        _check_space(chosen, folder, archive, label)
        temporary.sweep(folder)
        left = max_bytes
        with Bar(f"{label}: unpack", total=len(chosen)) as bar:
            for member in chosen:
                with files.atomic(folder / member.name) as copy:
                    for piece in _pieces(member, archive, label):
                        left -= len(piece)
                        if left < 0:
                            raise _too_big(archive, label, max_bytes, member)
                        copy.write(piece)
                bar.advance()
    return sorted(folder / member.name for member in chosen)


def _choose(found: Sequence[_Member], members: str, archive: Path, label: str, max_bytes: int) -> list[_Member]:
    """The members to write, after all were judged by what they declare."""
    for member in found:
        parts = member.path.split("/")
        if member.path.startswith("/") or re.match("[A-Za-z]:", member.path) or ".." in parts:
            raise _error(archive, label, member, f"its path leads out of the folder: {_ELSEWHERE}")
        if _is_hidden(member):
            continue
        if not member.path.isprintable() or not 0 < len(member.name.encode()) <= _LONGEST_NAME:
            raise _error(archive, label, member, f"no usable file name: {_ELSEWHERE}")
    chosen: dict[str, _Member] = {}
    for member in found:
        if _is_hidden(member) or not fnmatch.fnmatchcase(member.path, members):
            continue
        if member.trouble:
            raise _error(archive, label, member, f"{member.trouble} instead of a plain file: {_ELSEWHERE}")
        other = chosen.setdefault(member.name.casefold(), member)  # some file systems ignore case
        if other is not member:
            text = f"the same file name as {_shown(other)}: narrow the glob {members!r} in the manifest"
            raise _error(archive, label, member, text)
    if not chosen:
        held = [_shown(member) for member in found]
        raise UserError(
            f"{label}: {archive}: nothing matches {members!r}; it holds {len(held)} files: "
            f"{', '.join(held[:5]) or 'none'}{', …' if len(held) > 5 else ''}: correct `members` in the manifest"
        )
    if sum(member.size for member in chosen.values()) > max_bytes:
        raise _too_big(archive, label, max_bytes, max(chosen.values(), key=lambda member: member.size))
    return list(chosen.values())


def _is_hidden(member: _Member) -> bool:
    """What file managers and archivers put beside the data, such as __MACOSX/._0801.png."""
    return any(map(files.is_hidden, member.path.split("/")))


@contextmanager
def _opened(archive: Path, label: str, max_bytes: int) -> Iterator[list[_Member]]:
    """Everything in the archive but folders."""
    with archive.open("rb") as file:
        start = file.read(512)
        file.seek(0)
        limit = max(_SMALL, _MAX_RATIO * archive.stat().st_size)
        if start.startswith((b"PK\3\4", b"PK\5\6")):
            with zip_files.open_zip(file, _MOST_MEMBERS) as zipped:
                yield list(_zip_members(zipped, archive, label, limit))
            return
        stream: Any = file
        if start.startswith(b"\x1f\x8b"):
            stream = gzip.GzipFile(fileobj=file)
        elif start.startswith(b"BZh"):
            stream = bz2.BZ2File(file)
        elif start.startswith(b"\xfd7zXZ\0"):
            stream = lzma.LZMAFile(file)  # noqa: SIM115 (`file` is closed, which is all there is to close)
        elif not _is_tar_header(start):
            raise UserError(
                f"{label}: {archive}: expected a zip or tar archive, it begins with {start[:12]!r}: delete it and "
                "fetch it again"
            )
        guarded = _Guarded(stream, limit, lambda: _too_big(archive, label, limit, None))
        with tarfile.open(fileobj=cast(IO[bytes], guarded), mode="r:") as tar:
            yield _tar_members(tar, guarded)


def _zip_members(zipped: zipfile.ZipFile, archive: Path, label: str, limit: int) -> Iterator[_Member]:
    for info in zipped.infolist():
        path = _plain(info.filename)
        if path.endswith("/"):
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        trouble = None if kind in (0, stat.S_IFREG) else "a link" if kind == stat.S_IFLNK else "a special file"
        if info.flag_bits & 0x2041:  # encrypted, strongly encrypted, masked
            trouble = "encrypted"
        limit -= info.file_size
        member = _Member(path, info.file_size, trouble, lambda info=info: zipped.open(info))  # type: ignore[misc]
        if limit < 0:
            raise _too_big(archive, label, max(_SMALL, _MAX_RATIO * archive.stat().st_size), member)
        yield member


def _tar_members(tar: tarfile.TarFile, stream: "_Guarded") -> list[_Member]:
    members: list[_Member] = []
    for number, info in enumerate(tar):
        if number == _MOST_MEMBERS:
            raise zip_files.TooManyMembersError(f"it holds more than {_MOST_MEMBERS} files, the most that are read")
        trouble = None if info.isreg() else "a link" if info.issym() or info.islnk() else "a special file"
        if info.issparse():
            trouble = "a sparse file"
        if not info.isdir():
            opener = cast(Callable[[], IO[bytes]], lambda info=info: tar.extractfile(info))
            members.append(_Member(_plain(info.name), info.size, trouble, opener))
    stream.seek(tar.offset)  # the reader takes a cut or a broken header for the end: the end is a block of zeros
    if stream.read(512) != bytes(512):
        raise tarfile.ReadError("no end mark")
    while stream.read(_PIECE):  # the checksum of a compressed stream comes last
        pass
    return members


def _is_tar_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class _Guarded:
    """A file for the tar reader that refuses to give more than `limit` bytes, or much at once."""

    def __init__(self, stream: Any, limit: int, refusal: Callable[[], UserError]) -> None:
        self._stream, self._limit, self._refusal = stream, limit, refusal

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise self._refusal()
        content: bytes = self._stream.read(size)
        if self._stream.tell() > self._limit:
            raise self._refusal()
        return content

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position > self._limit:
            raise self._refusal()
        return int(self._stream.seek(position))

    def tell(self) -> int:
        return int(self._stream.tell())


@contextmanager
def _reading(archive: Path, label: str, member: _Member | None = None) -> Iterator[None]:
    """Whatever the readers raise on hostile bytes becomes one line; there is no list of what they can raise."""
    try:
        yield
    except (UserError, GeneratorExit):
        raise
    except zip_files.TooManyMembersError as error:
        raise UserError(f"{label}: {archive}: {error}: {_ELSEWHERE}") from None
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        where = f" at {_shown(member)}" if member else ""
        raise UserError(
            f"{label}: {archive}: damaged or cut off{where} ({said}): delete it and fetch it again"
        ) from None


def _pieces(member: _Member, archive: Path, label: str) -> Iterator[bytes]:
    came = 0
    with _reading(archive, label, member), member.open() as source:
        while piece := source.read(_PIECE):
            came += len(piece)
            yield piece
        if came != member.size:
            raise EOFError(f"expected {member.size} bytes, got {came}")


def _check_space(chosen: Sequence[_Member], folder: Path, archive: Path, label: str) -> None:
    there = sum(path.stat().st_size for member in chosen if (path := folder / member.name).is_file())
    need = sum(member.size for member in chosen) - there + max(member.size for member in chosen)
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if need > free:
        raise UserError(
            f"{label}: {archive}: unpacking needs {need / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are free in "
            f"{place}: free space and run again"
        )


def _plain(path: str) -> str:
    """Backslashes (old Windows archivers) become slashes, "./" and "//" vanish; a leading "/" and ".." stay."""
    path = path.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/" * path.startswith("/") + "/".join(parts) + "/" * path.endswith("/")


def _shown(member: _Member) -> str:
    shown = ascii(member.path) if not member.path.isprintable() else member.path
    return shown if len(shown) <= 120 else f"{shown[:117]}…"


def _error(archive: Path, label: str, member: _Member, text: str) -> UserError:
    return UserError(f"{label}: {archive}: {_shown(member)}: {text}")


def _too_big(archive: Path, label: str, limit: int, member: _Member | None) -> UserError:
    where = f"{_shown(member)}: " if member else ""
    return UserError(
        f"{label}: {archive}: {where}more than {limit} bytes come out of {archive.stat().st_size} bytes: {_ELSEWHERE}"
    )
