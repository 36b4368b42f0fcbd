"""Data sets as manifests: what a set is, where it comes from, what is known of each of its files."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
Url = Annotated[str, Field(pattern=r"^https?://[^/]+/")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Model):
    """Files inside installed Python packages: `folders` are package/sub/folder, looked through in order."""

    kind: Literal["package"]
    folders: Annotated[list[str], Field(min_length=1)]


class ArchiveSource(_Model):
    """A zip or tar archive; `members` is a glob of the files to take, flattened into the set's folder."""

    kind: Literal["archive"]
    url: Url
    members: str
    size: int | None = None
    md5: Md5 | None = None
    sha256: Sha256 | None = None


class FilesSource(_Model):
    """Single files below `url`; `remote` makes a file's name there of the `stem` and `suffix` it has here."""

    kind: Literal["files"]
    url: Url
    remote: str = "{stem}{suffix}"

    def url_of(self, file: str) -> str:
        """Where one file of the set is."""
        path = Path(file)
        return self.url.rstrip("/") + "/" + self.remote.format(stem=path.stem, suffix=path.suffix)


class DownscaledSource(_Model):
    """The images of another set, bicubically downscaled by `factor` (Pillow, antialiased), under their names."""

    kind: Literal["downscaled"]
    of: Name
    factor: Annotated[int, Field(ge=2)]


class UserSource(_Model):
    """Only the user can get it: `help` says where to ask."""

    kind: Literal["user"]
    help: str


Source = Annotated[
    PackageSource | ArchiveSource | FilesSource | DownscaledSource | UserSource, Field(discriminator="kind")
]


class FileEntry(_Model):
    """What is known of one file of the set.

    `size` is in bytes; `pixels` the hash of its RGB pixels, by which a copy of another name or encoding is known.
    """

    size: int | None = None
    sha256: Sha256 | None = None
    pixels: Sha256 | None = None
    licence: str | None = None


class Numbered(_Model):
    """Files that are numbered: `format` is a Python format of the number, such as "{:04d}.png"."""

    format: str
    first: int
    last: int


class Manifest(_Model):
    """One file of data/manifests.

    At most one of `files`, `numbered` and `titles` says which files the set has; `titles` are beginnings of file
    names, compared by letters and digits only, for sets that circulate under several spellings. With none of them
    the set is whatever images its folder and subfolders hold, `count` of them where that is given. `long_side` is
    the larger side of every image, in px. The LR images of a `real_lr` set belong to the images of the set `hr`
    whose names begin alike.
    """

    name: Name
    role: Literal["train", "benchmark", "real_lr", "source", "weights"]
    title: str
    licence: str
    citation: str | None = None
    hr: Name | None = None
    files: dict[str, FileEntry] = {}
    numbered: Numbered | None = None
    titles: list[str] = []
    count: int | None = None
    long_side: int | None = None
    sources: Annotated[list[Source], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(map(bool, (self.files, self.numbered, self.titles))) > 1:
            raise ValueError("give one of `files`, `numbered` and `titles`")
        if (self.role == "real_lr") != (self.hr is not None):
            raise ValueError("a set of role real_lr, and no other, names its HR set as `hr`")
        return self

    @property
    def expected(self) -> dict[str, FileEntry]:
        """File name -> what is known of it; empty if the manifest does not name files."""
        if self.numbered:
            numbers = range(self.numbered.first, self.numbered.last + 1)
            return {self.numbered.format.format(number): FileEntry() for number in numbers}
        return self.files

    @property
    def known_pixels(self) -> dict[str, str]:
        """Hash of the pixels -> file name, if the manifest has it of every file; else empty."""
        found = {entry.pixels: file for file, entry in self.files.items() if entry.pixels}
        return found if len(found) == len(self.files) else {}

    @property
    def how_to_get(self) -> str:
        """One sentence for a user who lacks the set."""
        help_lines = [source.help for source in self.sources if isinstance(source, UserSource)]
        urls = [source.url for source in self.sources if isinstance(source, ArchiveSource | FilesSource)]
        if help_lines:
            return f"{help_lines[0]}, then set data.roots.{self.name} to its folder"
        if urls:
            host = urlsplit(urls[0]).netloc
            root = f"set data.roots.{self.name} to a folder that has it"
            return f"`dvc repro --force fetch` downloads it from {host} unless data.offline is set, or {root}"
        return "`dvc repro --force fetch` takes it from the installed packages"


def load_manifest(name: str, folder: Path = paths.MANIFESTS) -> Manifest:
    """Read data/manifests/<name>.yaml. Raises UserError: unknown set (lists the known), broken manifest."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(known_sets(folder)) or "none"
        raise UserError(f"no data set {name!r}: {folder} has {known}; a new set is one new manifest there")
    try:
        manifest = Manifest.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise UserError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}") from None
    if manifest.name != name:
        raise UserError(f"{path}: name is {manifest.name!r}, but the file's name says {name!r}: make them equal")
    return manifest


def known_sets(folder: Path = paths.MANIFESTS) -> list[str]:
    """Names of all manifests, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))
