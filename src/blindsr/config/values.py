"""Kinds of values that settings have: numbers with the least and the most that make sense, names, lists.

A bound keeps out what no one means: what would take memory or years that nobody has, or would spoil a result in
silence. Text such as "2e-4", as YAML reads it, counts as the number that it spells.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from blindsr.runtime import privacy


def _no_switch(value: Any) -> Any:
    """Python takes true for 1; who writes it in the place of a number means something else."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {str(value).lower()}")
    return value


def one_of(choices: str) -> WrapValidator:
    """Validator: one line for a value that may be of several types, of which each would have its own message.

    Args:
        choices: What the value may be, in words.
    """

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(f"must be {choices}") from None

    return WrapValidator(validate)


def spelled(pattern: str, words: str) -> AfterValidator:
    """Validator: text of some characters alone.

    Args:
        pattern: Regular expression of the whole text.
        words: The same for people.
    """

    def validate(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {words}")
        return text

    return AfterValidator(validate)


def unique(items: list[Any]) -> list[Any]:
    """Validator: at least one entry, none twice."""
    if not items or len(set(items)) != len(items):
        raise ValueError("must hold at least one entry, each once")
    return items


def distinct(items: list[Any]) -> list[Any]:
    """Validator: no entry twice."""
    if len(set(items)) != len(items):
        raise ValueError("must hold each entry once")
    return items


def _apart(names: dict[str, Any]) -> dict[str, Any]:
    """Names of cases are names of folders, too, and some file systems ignore case."""
    found: dict[str, str] = {}
    for name in names:
        other = found.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(f"{other} and {name} differ in upper and lower case alone: rename one")
    return names


def _place(value: Any) -> Any:
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError("must be the path of a folder, not empty and without control characters")
    return value


def _public(url: str) -> str:
    """params.yaml and dvc.lock are committed, so no password may stand in them."""
    parts = urlsplit(url)
    if privacy.without_secrets(url) != url or parts.query or parts.fragment:
        raise ValueError(
            "must be an address without user, password or query, since params.yaml and dvc.lock are committed: keep "
            "the password in ~/.netrc"
        )
    return url


Whole = Annotated[int, BeforeValidator(_no_switch)]
"""A whole number."""
Number = Annotated[float, BeforeValidator(_no_switch), Field(allow_inf_nan=False)]
"""A finite number."""
Count = Annotated[Whole, Field(ge=1, le=10**8)]
"""How many, of what a run can wait for."""
Pixels = Annotated[Whole, Field(ge=1, le=2**16)]
"""A side of an image."""
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]
Threads = Annotated[Whole, Field(ge=1, le=1024)]
Weight = Annotated[Number, Field(gt=0, le=1e9)]
Share = Annotated[Number, Field(ge=0, lt=1)]
"""From 0 to below 1."""
Word = Annotated[str, spelled(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "letters, digits, _, . and -, 64 at most")]
"""A name that files, runs and tables are called by."""
Name = Annotated[str, spelled(r"[a-z0-9_]{1,64}", "a-z, digits and _, 64 at most")]
"""Of a plug-in: DVC joins names with a hyphen."""
Names = Annotated[list[Name], AfterValidator(unique)]
SetName = Annotated[str, spelled(r"[A-Za-z0-9_]{1,64}", "letters, digits and _, 64 at most")]
"""Of a data set, which is that of its manifest."""
SetNames = Annotated[list[SetName], AfterValidator(unique)]
Case = Annotated[str, spelled(r"[A-Za-z0-9][A-Za-z0-9+_.]{0,63}", "letters, digits, +, _ and ., 64 at most")]
Apart = AfterValidator(_apart)
"""Names that are still distinct where upper and lower case are the same."""
Place = Annotated[Path, BeforeValidator(_place)]
"""A file or folder of the user's own."""
Mirror = Annotated[
    str, spelled(r"https?://[^\s/]\S*", "an address such as https://mirror.example.org"), AfterValidator(_public)
]
Device = Annotated[str, spelled(r"auto|cpu|mps|cuda(:\d{1,3})?", "auto, cpu, mps, cuda or cuda:N")]
Tile = Annotated[
    Annotated[Whole, Field(ge=16, le=2**16)] | Literal["auto"] | None,
    one_of("auto, null (whole images), or LR px from 16 to 65536"),
]
Devices = Annotated[
    Annotated[Whole, Field(ge=1, le=1024)] | Literal["auto"], one_of("auto, or a number of processes from 1 to 1024")
]
