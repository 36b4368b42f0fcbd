"""Data sets: a manifest says what a set is and where it comes from, an index says what is here and verified."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from blindsr import paths
from blindsr.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Model):
    """Files inside installed Python packages: `folders` are package/sub/folder, looked through in order."""

    kind: Literal["package"]
    folders: Annotated[list[str], Field(min_length=1)]


class ArchiveSource(_Model):
    """A zip or tar archive; `members` is a glob of the files to take, flattened into the set's folder."""

    kind: Literal["archive"]
    url: str
    members: str
    size: int | None = None
    md5: Md5 | None = None
    sha256: Sha256 | None = None


class FilesSource(_Model):
    """Single files below `url`; a file's own `remote` name, where it has one, replaces its name here."""

    kind: Literal["files"]
    url: str


class UserSource(_Model):
    """Only the user can get it: `help` says where to ask."""

    kind: Literal["user"]
    help: str


Source = Annotated[PackageSource | ArchiveSource | FilesSource | UserSource, Field(discriminator="kind")]


class FileEntry(_Model):
    """What is known of one file of the set."""

    sha256: Sha256 | None = None
    licence: str | None = None
    remote: str | None = None


class Numbered(_Model):
    """Files that are numbered: `format` is a Python format of the number, such as "{:04d}.png"."""

    format: str
    first: int
    last: int


class Manifest(_Model):
    """One file of data/manifests."""

    name: Name
    role: Literal["train", "benchmark", "real_lr", "weights"]
    title: str
    licence: str
    citation: str | None = None
    files: dict[str, FileEntry] = {}
    numbered: Numbered | None = None
    sources: Annotated[list[Source], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if self.files and self.numbered:
            raise ValueError("give `files` or `numbered`, not both")
        return self

    @property
    def expected(self) -> dict[str, FileEntry]:
        """File name -> what is known of it; empty if the set is whatever images its folder holds."""
        if self.numbered:
            numbers = range(self.numbered.first, self.numbered.last + 1)
            return {self.numbered.format.format(number): FileEntry() for number in numbers}
        return self.files

    @property
    def how_to_get(self) -> str:
        """One sentence for a user who lacks the set."""
        own = [source.help for source in self.sources if isinstance(source, UserSource)]
        root = f"set data.roots.{self.name} to its folder"
        return f"{own[0]}, then {root}" if own else root


class IndexedImage(_Model):
    """One verified file; width and height (px) are 0 for files that are no images."""

    name: str
    file: str
    width: int
    height: int
    sha256: Sha256


class Index(_Model):
    """What is here of a set: every file verified, or the reason why there is none."""

    name: str
    missing: str | None = None
    images: list[IndexedImage] = []

    def write(self, folder: Path) -> None:
        """Write <folder>/<name>.json: sorted keys, no paths of this machine."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.json").write_text(json.dumps(self.model_dump(), indent=1, sort_keys=True) + "\n")


def load_manifest(name: str, folder: Path = paths.MANIFESTS) -> Manifest:
    """Read data/manifests/<name>.yaml. Raises UserError: unknown set (lists the known), broken manifest."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise UserError(f"no data set {name!r}: {folder} has {known}; a new set is one new manifest there")
    try:
        manifest = Manifest.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    if manifest.name != name:
        raise UserError(f"{path}: name is {manifest.name!r}, but the file's name says {name!r}: make them equal")
    return manifest


def inspect(manifest: Manifest, folder: Path) -> Index:
    """Check names, number, hashes and image headers of the set in `folder`, and index it.

    Raises UserError that names the set, the file, what was expected, what was found, and the mend.
    """
    if not folder.is_dir():
        raise UserError(f"{manifest.name}: {folder} is no folder: correct data.roots.{manifest.name}")
    expected: dict[str, Any] = dict(manifest.expected)
    if not expected:
        found = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        expected = dict.fromkeys(found, FileEntry())
        if not found:
            raise UserError(f"{manifest.name}: {folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    absent = [file for file in expected if not (folder / file).is_file()]
    if absent:
        raise UserError(
            f"{manifest.name}: {len(absent)} of {len(expected)} files are not in {folder} (first: {absent[0]}): "
            f"complete the folder, or delete it to fetch the set anew"
        )
    images = [_index_file(manifest, folder / file, entry) for file, entry in expected.items()]
    return Index(name=manifest.name, images=images)


def inspect_weights(manifest: Manifest, file: Path) -> Index:
    """Index the one file that the user gives as the root of a set of weights; its name and hash are free."""
    if manifest.role != "weights":
        raise UserError(f"{manifest.name}: data.roots.{manifest.name} is a file: name the folder of its images")
    return Index(name=manifest.name, images=[_index_file(manifest, file, FileEntry())])


def read_index(name: str, folder: Path = paths.INDEX) -> Index:
    """The index that the fetch stage wrote. Raises UserError if it is not there."""
    path = folder / f"{name}.json"
    try:
        return Index.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro fetch`") from None


def set_folder(name: str, roots: dict[str, Path]) -> Path:
    """Where the files of a set lie: the user's own folder, or data/raw/<name>.

    The root of a set of weights may also be the file itself.
    """
    if name not in roots:
        return paths.RAW / name
    root = paths.project_root() / roots[name].expanduser()
    return root.parent if root.is_file() else root


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _index_file(manifest: Manifest, path: Path, entry: FileEntry) -> IndexedImage:
    digest = sha256(path)
    if entry.sha256 and digest != entry.sha256:
        raise UserError(
            f"{manifest.name}: {path} has SHA-256 {digest[:12]}…, expected {entry.sha256[:12]}…: it is damaged or "
            "another file; delete it to fetch it anew"
        )
    width = height = 0
    if manifest.role != "weights":
        try:
            with Image.open(path) as image:
                width, height = image.size
        except (UnidentifiedImageError, OSError):
            raise UserError(f"{manifest.name}: {path} is no readable image: replace or delete it") from None
    return IndexedImage(name=path.stem, file=path.name, width=width, height=height, sha256=digest)
