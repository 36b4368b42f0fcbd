"""Data sets as manifests: what a set is, where it comes from, what is known of each of its files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from blindsr.data.indices import Index, IndexedImage
from blindsr.data.pairing import FoldersRule, Pairing, PrefixRule
from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
Place = Annotated[str, AfterValidator(paths.require_inside)]  # below a folder
Url = Annotated[str, Field(pattern=r"^https?://[^/]+/")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Model):
    """Files inside installed Python packages: `folders` are package/sub/folder, looked through in order."""

    kind: Literal["package"]
    folders: Annotated[list[Place], Field(min_length=1)]


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
    remote: Annotated[str, Field(pattern=r"^([^{}]|\{stem\}|\{suffix\})+$")] = "{stem}{suffix}"

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


_MOST_NUMBERED = 1_000_000
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

    format: Annotated[Place, Field(pattern=r"^[^{}]*\{(:0?\d{0,2}d)?\}[^{}]*$")]
    first: Annotated[int, Field(ge=0)]
    last: int

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not 0 <= self.last - self.first < _MOST_NUMBERED:
            raise ValueError(f"`last` must follow `first`, and number {_MOST_NUMBERED} files at most")
        return self


class Manifest(_Model):
    """One file of data/manifests.

    At most one of `files`, `numbered` and `titles` says which files the set has; `titles` are beginnings of file
    names, compared by letters and digits only, for sets that circulate under several spellings. With none of them
    the set is whatever images its folder and subfolders hold, of those the ones that the glob `only` matches (from
    the right: Test/4/* takes any folder of that name), and `count` of them where that is given; of what an archive
    held, all must be there. `long_side` is the larger side of every image, in px.

    A set of `pairs` brings real LR images with their HR images: `pairing` says by which rule their names belong
    together, `hr` names the set of the HR images where that is another one, `aligned` says whether the two show the
    same pixels (else scores search for the best shift), and `scale` is their factor, where all have one. A set that
    is `unpaired` has LR photos alone: metrics that need an HR image leave it out.
    """

    name: Name
    role: Literal["train", "benchmark", "pairs", "unpaired", "source", "weights"]
    title: str
    licence: str
    citation: str | None = None
    pairing: Pairing | None = None
    hr: Name | None = None
    aligned: bool | None = None
    scale: Annotated[int, Field(ge=2)] | None = None
    only: str | None = None
    files: dict[Place, FileEntry] = {}
    numbered: Numbered | None = None
    titles: list[str] = []
    count: Annotated[int, Field(ge=1)] | None = None
    long_side: int | None = None
    sources: Annotated[list[Source], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(map(bool, (self.files, self.numbered, self.titles))) > 1:
            raise ValueError("give one of `files`, `numbered` and `titles`")
        if self.only and (self.expected or self.titles):
            raise ValueError("`only` chooses among all images of a folder: take it out beside a list of files")
        unlisted = [source.kind for source in self.sources if isinstance(source, PackageSource | FilesSource)]
        if unlisted and not self.expected:
            raise ValueError(
                f"a source of kind {unlisted[0]} takes files by name: list them in `files` or `numbered`"
            )
        self._check_pairing()
        return self

    def _check_pairing(self) -> None:
        if self.role != "pairs":
            own = [name for name in ("pairing", "hr", "aligned", "scale") if getattr(self, name) is not None]
            if own:
                raise ValueError(f"`{own[0]}` is of a set of role pairs, not {self.role}")
            return
        if self.pairing is None or self.aligned is None:
            raise ValueError("a set of role pairs says `pairing` and `aligned`")
        if self.hr is None and isinstance(self.pairing, PrefixRule):
            raise ValueError("pairing by prefix takes the HR images of another set: name it as `hr`")
        if self.hr is None and isinstance(self.pairing, FoldersRule) and not (self.pairing.hr and self.pairing.lr):
            raise ValueError("pairing by folders names both, `hr` and `lr`, unless the HR images are another set")

    @property
    def expected(self) -> dict[str, FileEntry]:
        """File name -> what is known of it; empty if the manifest does not name files."""
        if self.numbered:
            numbers = range(self.numbered.first, self.numbered.last + 1)
            return {self.numbered.format.format(number): FileEntry() for number in numbers}
        return self.files

    def index(
        self, *, missing: str | None = None, images: Sequence[IndexedImage] = (), left_out: Sequence[str] = ()
    ) -> Index:
        """What the fetch stage notes of this set.

        Args:
            missing: Why there are no files; None if there are.
            images: The verified files.
            left_out: Paths of images that cannot be used.

        Returns:
            The index, with the set's name and how its images are paired.
        """
        return Index(
            name=self.name,
            missing=missing,
            hr=self.hr,
            pairing=self.pairing,
            aligned=self.aligned is not False,
            unpaired=self.role == "unpaired",
            images=list(images),
            left_out=list(left_out),
        )

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
    """Read data/manifests/<name>.yaml.

    Args:
        name: Name of the set.
        folder: Folder of the manifests.

    Raises:
        UserError: for an unknown set, with the known ones; for a broken manifest, with its first wrong key.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(known_sets(folder)) or "none"
        raise UserError(f"no data set {name!r}: {folder} has {known}; a new set is one new manifest there")
    try:
        manifest = Manifest.model_validate(yaml.safe_load(files.read_text(path)))
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
