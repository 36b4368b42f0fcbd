"""What the outputs of the stages were when they were made, and whether they still are.

dvc.lock has the hash of each output. Of what was made by hand, without DVC, the stages note it themselves, in
.train_state/made/. A file that is neither is damaged, or of other settings, and nothing is computed from it.
"""

import functools
import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import yaml

from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError

LOCK = Path("dvc.lock")
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_STAGE = re.compile(r"^(?=  [^\s#])", re.MULTILINE)
_OUTS = "\n    outs:\n"
_WRITING = 10.0  # seconds that DVC may take to write a large dvc.lock, in which it is not whole


class Out(NamedTuple):
    """An output of a stage: its path as in dvc.lock, the stage's name, and the hash that DVC recorded."""

    path: str
    stage: str
    md5: str


def outs() -> Mapping[str, Out]:
    """All outputs that the dvc.lock of the working directory records, by their paths; none without that file.

    Raises:
        UserError: if the file is cut off or damaged.
    """
    while True:
        try:
            content = LOCK.read_bytes()
        except OSError:
            return {}
        try:
            return parse(content.decode())
        except ValueError:
            if not 0 <= time.time() - LOCK.stat().st_mtime < _WRITING:  # another process writes it, or not
                raise UserError(f"{LOCK} is damaged: run `blindsr verify`, which restores it") from None
            time.sleep(0.1)


@functools.lru_cache(maxsize=2)
def parse(text: str) -> Mapping[str, Out]:
    """Read the outputs in the text of a dvc.lock: only these, since YAML as large as that takes seconds.

    Args:
        text: Of the file.

    Returns:
        The outputs by their paths.

    Raises:
        ValueError: where an output has no hash, or the text is no dvc.lock.
    """
    found: dict[str, Out] = {}
    head, *stages = blocks(text)
    if stages and not head.rstrip().endswith("stages:"):
        raise ValueError("no stages")
    for block in stages:
        name = block.split("\n", 1)[0].strip().removesuffix(":")
        _, _, listed = block.partition(_OUTS)
        for out in _listed(listed):
            if not isinstance(out, dict) or not is_hash(str(out.get("md5"))):
                raise ValueError(f"an output of {name} has no hash")
            found[str(out["path"])] = Out(str(out["path"]), name, out["md5"])
    return MappingProxyType(found)


def _listed(text: str) -> list[object]:
    try:
        listed = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    if not isinstance(listed, list | None):
        raise ValueError("no list")
    return listed or []


def is_hash(text: str) -> bool:
    """Whether this can be the hash of a file or, with ".dir" behind, of a folder."""
    return bool(_MD5.fullmatch(text))


def blocks(text: str) -> list[str]:
    """What stands above the first stage of a dvc.lock, and the text of each stage."""
    return _STAGE.split(text)


def require(path: Path) -> None:
    """Refuse an output of a stage that is not what was recorded when it was made.

    Args:
        path: Of a file or folder in the working directory; inside of an output that is a folder, all of that is
            looked at. What is no output, or is not there, or is recorded nowhere, is taken as it is.

    Raises:
        UserError: that names the output, and how to get it back.
    """
    out = _output(path)
    if out is None:
        return
    place = Path(out.path)
    if not place.exists() or digest(place) in (out.md5, noted(place)):
        return
    raise UserError(
        f"{place} is not what {out.stage} made: `blindsr verify` takes what is damaged out, here and in DVC's "
        f"cache, then `dvc pull` or `dvc repro {out.stage}` brings it back (if it is as you want it: `blindsr verify "
        f"--accept {place}`)"
    )


def _output(path: Path) -> Out | None:
    if path.is_absolute():
        here = Path.cwd()
        if not path.is_relative_to(here):
            return None
        path = path.relative_to(here)
    known = outs()
    return next((known[place.as_posix()] for place in (path, *path.parents) if place.as_posix() in known), None)


def note(*made: Path) -> None:
    """Record outputs that a stage has just made by hand; under DVC nothing is done, since dvc.lock will say it.

    Args:
        made: Files or folders, relative to the working directory.

    Raises:
        UserError: where the record cannot be written.
    """
    if "DVC_STAGE" not in os.environ:
        accept(*made)


def accept(*made: Path) -> None:
    """Record outputs as they are now.

    Args:
        made: As for `note`.

    Raises:
        UserError: where the record cannot be written.
    """
    for place in made:
        if place.exists():
            files.write_atomic(_record(place), f"{digest(place)}\n")


def noted(place: Path) -> str:
    """The hash that `note` or `accept` recorded; empty without."""
    try:
        return _record(place).read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _record(place: Path) -> Path:
    return paths.project_root() / ".train_state" / "made" / f"{place.as_posix()}.md5"


def digest(place: Path) -> str:
    """The hash that DVC has of a file or a folder.

    Args:
        place: Of what is there.

    Returns:
        MD5 as 32 hexadecimal digits, of a folder that of its listing, with ".dir" behind.
    """
    if not place.is_dir():
        return md5(place)
    return folder_digest({name: md5(place / name) for name in members(place)})


def folder_digest(hashes: Mapping[str, str]) -> str:
    """The hash that DVC has of a folder.

    Args:
        hashes: Path below the folder, with "/", -> MD5 of the file.

    Returns:
        MD5 of the listing, with ".dir" behind.
    """
    return f"{hashlib.md5(listing(hashes), usedforsecurity=False).hexdigest()}.dir"


def listing(hashes: Mapping[str, str]) -> bytes:
    """What DVC keeps in its cache for a folder; `hashes` as for `folder_digest`."""
    return json.dumps([{"md5": hashes[name], "relpath": name} for name in sorted(hashes)]).encode()


def members(folder: Path) -> list[str]:
    """Paths of all files below a folder, relative to it, with "/"."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def md5(path: Path) -> str:
    """MD5 of a file, as DVC names it by: 32 hexadecimal digits."""
    with open(path, "rb", opener=files.regular) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
