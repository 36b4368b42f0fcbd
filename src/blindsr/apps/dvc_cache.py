"""DVC's cache of this project: its objects are named by the hash of what they hold, which DVC itself trusts."""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blindsr.runtime import files, packages, recorded

_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")


class Cache:
    """The cache that DVC's settings name; without DVC, that of its default settings."""

    def __init__(self) -> None:
        """Nothing is read but the settings."""
        self._root, self.linked = _settings()
        self._objects = self._root / "files" / "md5"

    def object(self, md5: str) -> Path:
        """Where the object with this hash lies, if it is there."""
        return self._objects / md5[:2] / md5[2:]

    def objects(self) -> list[Path]:
        """All objects."""
        found = self._objects.glob("??/*")
        return sorted(path for path in found if _NAME.fullmatch(path.relative_to(self._objects).as_posix()))

    def is_whole(self, md5: str) -> bool:
        """Whether an object is there and holds what its name says."""
        path = self.object(md5)
        return path.is_file() and recorded.md5(path) == md5.removesuffix(".dir")

    def listing(self, md5: str) -> dict[str, str] | None:
        """Path -> MD5 of the files in a folder with this hash; None where the cache has no whole listing."""
        if not self.is_whole(md5):
            return None
        return {entry["relpath"]: entry["md5"] for entry in json.loads(self.object(md5).read_bytes())}

    def name(self, path: Path) -> str:
        """The hash that an object is named by."""
        return "".join(path.relative_to(self._objects).parts)

    def remove(self, path: Path) -> None:
        """Remove an object, and what DVC unpacked of it. Raises OSError where that is not allowed."""
        path.unlink()
        shutil.rmtree(path.with_name(f"{path.name}.unpacked"), ignore_errors=True)

    def add(self, content: bytes, md5: str) -> None:
        """Put an object there, read-only as DVC keeps them. Raises UserError where that fails."""
        files.write_atomic(self.object(md5), content)
        self.object(md5).chmod(0o444)

    def wrong_runs(self) -> Iterator[Path]:
        """Entries of the run cache that are not what their names say. None without DVC."""
        if not packages.installed("dvc"):
            return
        from dvc.utils import dict_sha256
        from dvc.utils.serialize import load_yaml

        for path in sorted(self._root.glob("runs/??/*/*")):
            if len(path.name) != 64 or not path.is_file():
                continue
            names = set[str]()
            with contextlib.suppress(Exception):  # whatever else is wrong with a YAML file
                entry = load_yaml(str(path))
                names.add(dict_sha256(entry, exclude=["size", "nfiles"]))
                entry["outs"] = [out["path"] for out in entry.get("outs", [])]
                names.add(dict_sha256(entry, exclude=["size", "nfiles"]))
            if names != {path.name, path.parent.name}:
                yield path


def _settings() -> tuple[Path, bool]:
    """Folder of the cache, and whether the workspace is meant to share files with it."""
    here = Path(".dvc")
    if not packages.installed("dvc"):
        return here / "cache", False
    from dvc.config import Config

    settings: dict[str, Any] = Config(dvc_dir=str(here.resolve()))["cache"]
    types = settings.get("type") or []
    return Path(settings.get("dir") or here / "cache"), bool({"hardlink", "symlink"} & set(types))
