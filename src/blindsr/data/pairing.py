"""Which LR image belongs to which HR image of a set of real pairs: the rules that a manifest can name.

A rule reads file names alone, as paths below the set's folder, with forward slashes.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from blindsr.runtime.errors import UserError


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SuffixRule(_Rule):
    """Names that differ in their ends, in any folders: a_HR.png and a_LR4.png (RealSR), 1.png and 1x4.png.

    `hr` and `lr` are those ends, without the file's suffix; one of them may be empty.
    """

    rule: Literal["suffix"]
    hr: str
    lr: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hr == self.lr:
            raise ValueError(f"the ends of HR and LR names must differ, and both are {self.hr!r}")
        return self

    def key(self, file: str, side: Literal["hr", "lr"]) -> str | None:
        """What the names of a pair have in common.

        Args:
            file: Path below the set's folder, with forward slashes.
            side: Side whose files are looked for.

        Returns:
            The name without folders, file suffix and the side's end; None for a file that is not of this side.
        """
        stem, end = PurePosixPath(file).stem, getattr(self, side)
        other = self.lr if side == "hr" else self.hr
        if not stem.endswith(end) or (len(other) > len(end) and stem.endswith(other)):
            return None
        return stem.removesuffix(end)


class FoldersRule(_Rule):
    """The same names in two folders, `hr` and `lr`; the file types may differ.

    An empty folder is the whole set, for HR images that are a set of their own.
    """

    rule: Literal["folders"]
    hr: str = ""
    lr: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        hr, lr = PurePosixPath(self.hr), PurePosixPath(self.lr)
        if self.hr and self.lr and (hr.is_relative_to(lr) or lr.is_relative_to(hr)):
            raise ValueError(f"the folders {self.hr} and {self.lr} of HR and LR images must lie side by side")
        return self

    def key(self, file: str, side: Literal["hr", "lr"]) -> str | None:
        """What the names of a pair have in common.

        Args:
            file: Path below the set's folder, with forward slashes.
            side: Side whose files are looked for.

        Returns:
            The path below the side's folder without the file suffix; None for a file outside of that folder.
        """
        path, folder = PurePosixPath(file), PurePosixPath(getattr(self, side))
        return path.relative_to(folder).with_suffix("").as_posix() if path.is_relative_to(folder) else None


class PrefixRule(_Rule):
    """Names that begin with the same characters: 0801x4m.png and 0801.png (NTIRE 2018).

    Several LR images may belong to one HR image, and the HR images are a set of their own.
    """

    rule: Literal["prefix"]
    characters: Annotated[int, Field(ge=1)]

    def key(self, file: str, side: Literal["hr", "lr"]) -> str | None:
        """What the names of a pair have in common.

        Args:
            file: Path below the set's folder, with forward slashes.
            side: Makes no difference: both sides have the same key.

        Returns:
            The first `characters` of the name; never None.
        """
        return PurePosixPath(file).stem[: self.characters]


Pairing = Annotated[SuffixRule | FoldersRule | PrefixRule, Field(discriminator="rule")]


class Side(NamedTuple):
    """A set's name and its files."""

    name: str
    files: Sequence[str]


def match(rule: Pairing, lr: Side, hr: Side | None = None) -> list[tuple[str, str]]:
    """Find the HR image of every LR image.

    Args:
        rule: How names belong together.
        lr: The set of the LR images; without `hr` it holds the HR images, too.
        hr: The set of the HR images, where that is a different one.

    Returns:
        (LR file, HR file) of each pair, in the order of the LR images.

    Raises:
        UserError: for an image without its partner, two that claim one partner, or a file that is of neither side.
    """
    lrs, hrs = _keys(rule, lr, "lr"), _keys(rule, hr or lr, "hr")
    if hr is None:
        lost = [file for file in lr.files if file not in lrs and file not in hrs]
        if lost:
            raise UserError(f"{lr.name}: {lost[0]} is neither an HR nor an LR image by its name: rename or remove it")
    return _matched(rule, lr.name, lrs, (hr or lr).name, hrs)


def _keys(rule: Pairing, side: Side, which: Literal["hr", "lr"]) -> dict[str, str]:
    """File -> key of the files of one side."""
    found = {file: rule.key(file, which) for file in side.files}
    return {file: key for file, key in found.items() if key is not None}


def _matched(
    rule: Pairing, lr_name: str, lrs: dict[str, str], hr_name: str, hrs: dict[str, str]
) -> list[tuple[str, str]]:
    originals = _unique(hr_name, hrs, "HR image")
    if not isinstance(rule, PrefixRule):
        _unique(lr_name, lrs, "LR image")
    if not lrs:
        raise UserError(f"{lr_name} holds no LR image by its names: correct its `pairing`, or complete it")
    for file, key in lrs.items():
        if key not in originals:
            raise UserError(
                f"{lr_name}: {file} has no HR image {key} in {hr_name}: complete it, or correct its `pairing`"
            )
    alone = [file for key, file in originals.items() if key not in set(lrs.values())]
    if alone:
        raise UserError(f"{lr_name} has no LR image for {len(alone)} of {hr_name} (first: {alone[0]}): complete it")
    return [(file, originals[key]) for file, key in lrs.items()]


def _unique(name: str, keys: dict[str, str], what: str) -> dict[str, str]:
    """Key -> file."""
    found: dict[str, str] = {}
    for file, key in keys.items():
        other = found.setdefault(key, file)
        if other is not file:
            raise UserError(f"{name}: {other} and {file} are both the {what} {key}: rename or remove one")
    return found
