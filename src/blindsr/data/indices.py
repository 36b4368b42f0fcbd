"""What is here of each data set: the index that the fetch stage writes and every other stage reads."""

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from blindsr.data.pairing import Pairing
from blindsr.runtime import files, paths, recorded
from blindsr.runtime.errors import UserError


class IndexedImage(BaseModel):
    """One verified file of a set.

    `name` is its name in the tables, unique in the set; `file` its path below the set's folder; width and height
    (px) are 0 for files that are no images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    file: Annotated[str, AfterValidator(paths.require_inside)]
    width: int
    height: int
    sha256: str


class Index(BaseModel):
    """What is here of a set: every file verified, or the reason why there is none.

    `left_out` are paths of images in a folder that cannot be used. Of a set of real LR images, `pairing` says how
    they belong to their HR images, `hr` names the set of those where it is another one, and `aligned` says whether
    the two show the same pixels; of an `unpaired` one there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    missing: str | None = None
    hr: str | None = None
    pairing: Pairing | None = None
    aligned: bool = True
    unpaired: bool = False
    images: list[IndexedImage] = []
    left_out: list[str] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hr and self.pairing is None:
            raise ValueError("a set with another set's HR images says how they are paired")
        return self

    @property
    def is_real(self) -> bool:
        """Whether this is a set of real LR images, not of images to be degraded."""
        return self.unpaired or self.pairing is not None

    def write(self, folder: Path) -> None:
        """Write <folder>/<name>.json: sorted keys, no paths of this machine.

        Args:
            folder: Folder of the indices; made where it is missing.

        Raises:
            UserError: where the file cannot be written.
        """
        unsaid = set() if self.pairing else {"pairing", "aligned"}
        unsaid |= set() if self.unpaired else {"unpaired"}
        unsaid |= set() if self.left_out else {"left_out"}
        content = json.dumps(self.model_dump(exclude=unsaid), indent=1, sort_keys=True) + "\n"
        files.write_atomic(folder / f"{self.name}.json", content)


def read_index(name: str, folder: Path = paths.INDEX) -> Index:
    """Read the index of a set that the fetch stage wrote.

    Args:
        name: Name of the set.
        folder: Folder of the indices.

    Returns:
        The index; its `missing` says why a set is not here.

    Raises:
        UserError: if the file is missing, damaged or of an older version.
    """
    path = folder / f"{name}.json"
    recorded.require(path)
    try:
        return Index.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro fetch`") from None
    except ValueError:
        raise UserError(f"{path} is no index: run `dvc repro --force fetch`") from None


def trunk_file(name: str | None, roots: dict[str, Path], folder: Path = paths.INDEX) -> tuple[Path | None, str]:
    """AlexNet's weights, which LPIPS and the perceptual loss are built on.

    Args:
        name: the set that `data.lpips_trunk` names, or None.
        roots: `data.roots`.
        folder: that of the indices.

    Returns:
        Path of the file, and ""; or None where it is not here, and what to do to have it.

    Raises:
        UserError: as `read_index` does, and where the file is not the one that was indexed.
    """
    if not name:
        return None, "name a set in data.lpips_trunk"
    index = read_index(name, folder)
    if index.missing or not index.images:
        return None, index.missing or f"complete the set {name}"
    path = set_folder(name, roots) / index.images[0].file
    require_same(path, index.images[0].sha256)
    return path, ""


def require_same(path: Path, sha256: str | None, mend: str = "`dvc repro --force fetch` gets it again") -> None:
    """Refuse a file that is not the one that was indexed.

    Args:
        path: Of the file.
        sha256: What was indexed, as 64 hexadecimal digits; empty where it should have been and is not, None where
            nothing was.
        mend: What to do about it.

    Raises:
        UserError: if it is another one, or cannot be read.
    """
    if sha256 is None:
        return
    try:
        found = files.sha256(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {mend}") from None
    if found != sha256:
        raise UserError(f"{path} is damaged, or has changed since it was made: {mend}")


def set_folder(name: str, roots: dict[str, Path]) -> Path:
    """Where the files of a set lie: the user's own folder, or data/raw/<name>.

    Args:
        name: Name of the set.
        roots: Folders that are used in place, by set (`data.roots`). That of a set of weights may be the file itself.

    Returns:
        The folder, also where the root is a file.
    """
    if name not in roots:
        return paths.RAW / name
    root = root_path(roots[name])
    return root.parent if root.is_file() else root


def root_path(root: Path) -> Path:
    """Where a path of `data.roots` leads: see `paths.of_user`."""
    return paths.of_user(root)
