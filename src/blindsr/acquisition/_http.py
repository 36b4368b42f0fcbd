"""One attempt at one file over HTTP: asked for from where the last attempt ended, checked while it streams."""

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
import urllib3.exceptions

import blindsr
from blindsr.runtime import privacy
from blindsr.runtime.errors import UserError

_TIMEOUT = (10.0, 30.0)  # seconds until a connection stands; seconds between two pieces of the body
_PIECE = 1 << 16  # what a cut connection may lose
_LONGEST_WAIT = 120.0  # seconds a server may ask for with Retry-After
_MIB = float(1 << 20)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to fetch. `size` in bytes, `md5` and `sha256` in hexadecimal digits, where known.

    `label` is the name of the data set: messages begin with it and name data.roots.<label> as a way out.
    """

    url: str
    target: Path
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    label: str

    @property
    def part(self) -> Path:
        """The unfinished file, beside the target."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def note(self) -> Path:
        """What the server said of the unfinished file, so that only the same file is resumed."""
        return self.target.with_name(self.target.name + ".part.json")

    @property
    def shown_url(self) -> str:
        """The URL without passwords and tokens."""
        return privacy.without_secrets(self.url)

    def error(self, text: str) -> UserError:
        """One line that names the set and the URL; whatever the text quotes is shown without passwords."""
        return UserError(" ".join(f"{self.label}: {self.shown_url}: {privacy.without_secrets(text)}".split()))


class Again(Exception):
    """This attempt failed, another may not. `wait` is in seconds; None backs off exponentially."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Stopped(Exception):
    """Another file failed, or the user interrupted: what is here stays for resuming."""


def attempt(
    job: Job, session: requests.Session, stop: threading.Event, progress: Callable[[int, int | None], None]
) -> None:
    """Fetch what <target>.part lacks, and give it the target's name if size and checksums are right.

    `progress` is told the bytes that are here and the bytes of the whole file, if known.
    Raises Again, Stopped, UserError (another attempt is pointless) and OSError (of the disk only).
    """
    note = _read_note(job)
    start = size_of(job.part) if note else 0
    hashes = _hashes(job, job.part, start)
    if not (start and start == job.size and hashes):  # else all was here when the process was killed
        headers = {"Accept-Encoding": "identity", "User-Agent": f"blindsr/{blindsr.__version__}"}
        if start:
            headers["Range"] = f"bytes={start}-"
            headers |= {"If-Range": note["validator"]} if note["validator"] else {}
        with _get(job, session, headers) as response:
            if response.status_code == 416 and start:
                _check_complete(job, response, start, note)
            else:
                _check_status(job, response)
                if response.status_code == 206:
                    _check_range(job, response, start, note)
                elif start:  # the server ignores Range, or the file has changed
                    start, hashes = 0, _hashes(job, job.part, 0)
                _receive(job, response, start, hashes, stop, progress)
    _finish(job, hashes, resumed=start > 0)


def is_right(job: Job) -> bool:
    """The target is there, and size and checksums are the expected ones."""
    if not job.target.is_file() or job.size not in (None, size_of(job.target)):
        return False
    hashes = _hashes(job, job.target, size_of(job.target))
    return all(digest.hexdigest() == getattr(job, kind).lower() for kind, digest in hashes.items())


def check_space(job: Job, folder: Path, need: int) -> None:
    """Raises UserError if `folder` has less than `need` bytes free."""
    free = shutil.disk_usage(folder).free
    if need > free:
        raise job.error(
            f"{need / _MIB:.0f} MiB more are needed, {free / _MIB:.0f} MiB are free in {folder}: free space and run "
            "again"
        )


def size_of(path: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def _read_note(job: Job) -> dict[str, Any]:
    """What the last attempt noted; empty if its piece cannot be resumed safely."""
    try:
        note = json.loads(job.note.read_bytes())
        safe = note["url"] == job.shown_url and (note["validator"] or job.md5 or job.sha256)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return note if safe else {}


def _hashes(job: Job, path: Path, length: int) -> "dict[str, hashlib._Hash]":
    """One running hash for each checksum of the job, fed with the first `length` bytes of `path`."""
    hashes = {kind: hashlib.new(kind, usedforsecurity=False) for kind in ("md5", "sha256") if getattr(job, kind)}
    if length and hashes:
        with path.open("rb") as file:
            while piece := file.read(min(1 << 20, length)):
                length -= len(piece)
                for digest in hashes.values():
                    digest.update(piece)
    return hashes


def _receive(
    job: Job,
    response: requests.Response,
    start: int,
    hashes: "Mapping[str, hashlib._Hash]",
    stop: threading.Event,
    progress: Callable[[int, int | None], None],
) -> None:
    """Append the body to the part, of which `start` bytes are kept, and feed it to `hashes`."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    pieces = _pieces(response, start, total)
    piece = next(pieces, b"")
    _check_no_page(job, response, b"" if start else piece)
    total = _check_size(job, total)
    check_space(job, job.target.parent, (total or 0) - size_of(job.part))
    if not start:
        _discard(job)
        said = {"url": job.shown_url, "validator": _validator(response), "total": total}
        job.note.write_text(json.dumps(said, sort_keys=True) + "\n", "utf-8")
    have = start
    progress(have, total)
    with job.part.open("ab") as file:
        while piece:
            have += len(piece)
            if job.size is not None and have > job.size:
                _discard(job)
                raise job.error(f"expected {job.size} bytes, more came: it was replaced: correct the manifest")
            file.write(piece)
            for digest in hashes.values():
                digest.update(piece)
            progress(have, total)
            if stop.is_set():
                raise Stopped
            piece = next(pieces, b"")
        file.flush()
        os.fsync(file.fileno())
    if total is not None and have < total:
        raise Again(f"cut off at {have} of {total} bytes")


def _finish(job: Job, hashes: "Mapping[str, hashlib._Hash]", resumed: bool) -> None:
    for kind, digest in hashes.items():
        expected, got = getattr(job, kind).lower(), digest.hexdigest()
        if got != expected:
            have = size_of(job.part)
            _discard(job)
            if resumed:  # the piece that was here may be at fault: once more from the start
                raise Again(f"expected {kind} {expected}, got {got}", wait=0)
            raise job.error(
                f"expected {kind} {expected}, got {got} ({have} bytes): damaged on the way, or replaced by its "
                "owner: run again; if the same comes again, correct the manifest"
            )
    job.part.replace(job.target)
    job.note.unlink(missing_ok=True)


def _discard(job: Job) -> None:
    job.note.unlink(missing_ok=True)
    job.part.unlink(missing_ok=True)


def _get(job: Job, session: requests.Session, headers: dict[str, str]) -> requests.Response:
    try:
        return session.get(job.url, headers=headers, stream=True, timeout=_TIMEOUT)
    except requests.exceptions.ProxyError as error:
        raise Again(f"the proxy does not let it through ({_reason(error)})") from None
    except requests.exceptions.SSLError as error:
        if "certificate" not in str(error).lower():
            raise Again(f"no secure connection ({_reason(error)})") from None
        raise job.error(
            f"expected a valid certificate, got: {_reason(error)}: check this machine's clock; behind a company's "
            "gateway set REQUESTS_CA_BUNDLE to its certificate; if the host's own is at fault, set data.mirror"
        ) from None
    except requests.exceptions.ConnectTimeout:
        raise Again(f"host unreachable (no answer within {_TIMEOUT[0]:.0f} s)") from None
    except requests.exceptions.Timeout:
        raise Again(f"the host does not answer (nothing within {_TIMEOUT[1]:.0f} s)") from None
    except requests.exceptions.ConnectionError as error:
        raise Again(f"host unreachable ({_reason(error)})") from None
    except requests.exceptions.RequestException as error:  # no such scheme, endless redirects and the like
        raise job.error(f"cannot be fetched ({error}): correct the URL in the manifest or data.mirror") from None


def _pieces(response: requests.Response, start: int, total: int | None) -> Iterator[bytes]:
    """The body as the server stores it, in pieces that are never empty."""
    have = start
    try:
        for piece in response.raw.stream(_PIECE, decode_content=False):
            have += len(piece)
            if piece:
                yield piece
    except urllib3.exceptions.HTTPError as error:
        slow = isinstance(error, urllib3.exceptions.ReadTimeoutError)
        how = f"stopped for {_TIMEOUT[1]:.0f} s" if slow else "cut off"
        raise Again(f"{how} at {have} of {total or 'an unknown number of'} bytes") from None


def _check_status(job: Job, response: requests.Response) -> None:
    status, said = response.status_code, f"{response.status_code} {response.reason}".rstrip()
    if status == 511:
        raise job.error(f"got {said}: the network wants a login: open any page in a browser, log in, run again")
    if status in (408, 425, 429) or status >= 500:
        wait = _retry_after(response)
        if wait is not None and wait > _LONGEST_WAIT:
            raise job.error(f"got {said}: the server asks to wait {wait:.0f} s: run again then, or set data.mirror")
        raise Again(f"got {said}", wait)
    own = f"data.roots.{job.label} to a folder you have"
    if status in (401, 403, 407):
        raise job.error(f"got {said}: access is refused: check proxy and password (~/.netrc), or set {own}")
    if status not in (200, 206):
        raise job.error(
            f"expected the file, got {said}: it has moved or never was there: correct the URL in the manifest, set "
            f"data.mirror, or set {own}"
        )


def _check_complete(job: Job, response: requests.Response, start: int, note: Mapping[str, Any]) -> None:
    """The server has nothing behind the bytes that are here: they are the whole file, or one of another file."""
    if response.headers.get("Content-Range") != f"bytes */{start}" or note.get("total") not in (None, start):
        _discard(job)
        raise Again(f"the file is no longer the one of which {start} bytes were here", wait=0)
    _check_size(job, start)


def _check_range(job: Job, response: requests.Response, start: int, note: Mapping[str, Any]) -> None:
    said = response.headers.get("Content-Range", "")
    changed = note.get("validator") and _validator(response) not in (None, note["validator"])
    total = note.get("total")
    if not start or not said.startswith(f"bytes {start}-") or changed or (total and not said.endswith(f"/{total}")):
        _discard(job)
        raise Again(
            f"asked for the bytes from {start}, got {said or 'a range without a name'} of another file", wait=0
        )


def _check_no_page(job: Job, response: requests.Response, first: bytes) -> None:
    if job.target.suffix.lower() in (".html", ".htm"):
        return
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    body = first[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if kind in ("text/html", "application/xhtml+xml") or body.startswith((b"<!doctype", b"<html")):
        raise job.error(
            f"expected {job.target.name}, got an HTML page: the login page of this network, or a page that took the "
            "file's place: open the URL in a browser, log in, and run again"
        )


def _check_size(job: Job, total: int | None) -> int | None:
    if job.size is not None and total not in (None, job.size):
        raise job.error(
            f"expected {job.size} bytes, the server has {total}: the file was replaced or the URL is wrong: correct "
            f"the manifest, or set data.roots.{job.label} to a folder you have"
        )
    return total if job.size is None else job.size


def _validator(response: requests.Response) -> str | None:
    """What If-Range may be given: a strong ETag, or else the time of the last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _retry_after(response: requests.Response) -> float | None:
    said = response.headers.get("Retry-After", "").strip()
    if said.isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _reason(error: BaseException) -> str:
    """The innermost cause, without addresses of objects."""
    while causes := [
        cause for cause in (getattr(error, "reason", None), *error.args) if isinstance(cause, Exception)
    ]:
        error = causes[-1]
    text = str(error)
    found = re.search(r"certificate verify failed: (.*?)(?: \(_ssl|$)", text)
    return found[1] if found else re.sub(r"^.*?(?:object at 0x\w+>|Connection\(.*?\)): ", "", text)
