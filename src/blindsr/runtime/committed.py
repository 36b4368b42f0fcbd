"""Whether DVC has the files that a stage has made: until then they may have to be made again."""

import configparser
import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from blindsr.runtime import files, paths, recorded


def note(record: Path, made: Iterable[Path]) -> None:
    """Write down what a stage has made, for `is_seen` to look for.

    Args:
        record: File to write.
        made: The files.

    Raises:
        UserError: where the record cannot be written.
    """
    hashes = {path.as_posix(): recorded.md5(path) for path in made}
    files.write_atomic(record, json.dumps(hashes, sort_keys=True) + "\n")


def is_seen(record: Path) -> bool:
    """Whether all files of a record are in DVC's cache, byte for byte.

    DVC writes the entry of its run cache before it, so that a stage whose files are there is not run again, even if
    DVC was killed before it wrote dvc.lock.

    Args:
        record: As `note` wrote it; False if it is not there, or damaged.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        hashes = json.loads(record.read_text("utf-8")).values()
        objects = _cache() / "files" / "md5"
        return all((objects / value[:2] / value[2:]).is_file() for value in hashes)
    return False


def _cache() -> Path:
    """Folder of DVC's cache: what the last of its settings files says that says something."""
    own = paths.project_root() / ".dvc"
    place = own / "cache"
    shared = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "dvc"
    for folder, name in ((shared, "config"), (own, "config"), (own, "config.local")):
        settings = configparser.ConfigParser(interpolation=None, strict=False)
        with contextlib.suppress(OSError, ValueError, KeyError, configparser.Error):
            settings.read(folder / name, "utf-8")
            place = folder / settings["cache"]["dir"]
    return place
