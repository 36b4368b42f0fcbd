"""What was seen when a set was first fetched, and must be so again: data/fetched.json, to be committed.

It has the SHA-256 of each download whose manifest says none, and how many images the sets have that no manifest
lists.
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from blindsr.acquisition.catalog import Sha256
from blindsr.runtime import files, paths, privacy
from blindsr.runtime.errors import UserError


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Download(_Model):
    """One file of a host: its SHA-256, and what its manifest said of it, since another manifest is another file."""

    sha256: Sha256
    md5: str | None = None
    size: int | None = None


class _Fetched(_Model):
    downloads: dict[str, Download] = {}
    images: dict[str, int] = {}


def path() -> Path:
    """The file, in the real project folder also for queued and temporary experiments."""
    return paths.project_root() / paths.FETCHED


def sha256(url: str, md5: str | None = None, size: int | None = None) -> str | None:
    """SHA-256 that a download had when it was first fetched.

    Args:
        url: As the manifest has it, without any mirror.
        md5: What the manifest says of it.
        size: Likewise, in bytes.

    Returns:
        64 hexadecimal digits; None if it was never fetched, or the manifest has changed since.

    Raises:
        UserError: where the file is damaged.
    """
    known = _read().downloads.get(_key(url))
    return known.sha256 if known and (known.md5, known.size) == (md5, size) else None


def keep_sha256(url: str, digest: str, md5: str | None = None, size: int | None = None) -> None:
    """Note the SHA-256 of a download; arguments as for `sha256`. Raises UserError where it cannot be written."""
    found = _read()
    downloads = found.downloads | {_key(url): Download(sha256=digest, md5=md5, size=size)}
    _write(found.model_copy(update={"downloads": downloads}))


def images(name: str) -> int | None:
    """How many images a set has that no manifest lists; None if it was never complete. Raises as `sha256` does."""
    return _read().images.get(name)


def keep_images(name: str, count: int) -> None:
    """Note that a set is complete with so many images. Raises UserError where it cannot be written."""
    found = _read()
    if found.images.get(name) != count:
        _write(found.model_copy(update={"images": found.images | {name: count}}))


def _key(url: str) -> str:
    """The address, without its passwords; those that differ in what is hidden stay apart."""
    shown = privacy.without_secrets(url)
    return shown if shown == url else f"{shown} {files.key(url)[:12]}"


def _read() -> _Fetched:
    try:
        return _Fetched.model_validate_json(files.read_text(path()))
    except FileNotFoundError:
        return _Fetched()
    except (OSError, UserError, ValidationError):
        raise UserError(f"{path()} is damaged: `git checkout {paths.FETCHED}`, or delete it to trust anew") from None


def _write(found: _Fetched) -> None:
    text = json.dumps(found.model_dump(exclude_none=True), indent=1, sort_keys=True)
    files.write_atomic(path(), f"{text}\n")
