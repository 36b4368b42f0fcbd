"""Which models a leaderboard has: named one by one, or in a YAML list with titles and links."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from blindsr.config.run import UNTRAINED
from blindsr.runtime import files
from blindsr.runtime.errors import UserError, one_line

_LISTS = (".yaml", ".yml")


class Entry(NamedTuple):
    """A model as `models.read` takes it, what it is called in the tables, and where it comes from."""

    model: str
    title: str
    link: str = ""
    named: bool = False
    """Whether somebody chose the title."""


class _Item(BaseModel):
    """One model of a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1)]
    title: Annotated[str, Field(min_length=1)] | None = None
    link: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None


def read(models: Sequence[str]) -> list[Entry]:
    """Read the models of a command line.

    Args:
        models: Each a file, the name of a run, a control, or a YAML file with a list of them: a text, or a mapping
            with `model` and perhaps `title` and `link`. Files that such a list names are looked for beside it first.

    Returns:
        The models in order, each once. Files of one name are called by their folders, too.

    Raises:
        UserError: for no model, a list that cannot be read, or two models of one title.
    """
    found: dict[tuple[str, str], Entry] = {}
    for model in models:
        for entry in _listed(Path(model)) if Path(model).suffix.lower() in _LISTS else [_entry(model)]:
            found.setdefault((entry.model, entry.title), entry)
    if not found:
        raise UserError("name a model: a run such as srresnet-rff-0, a file, or bicubic")
    return _told_apart(list(found.values()))


def _told_apart(found: list[Entry]) -> list[Entry]:
    """The same models; of those with one title, the ones that nobody named have as much of their path as it takes."""
    depth = 1
    while True:
        titles = Counter(entry.title for entry in found)
        alike = [entry for entry in found if titles[entry.title] > 1]
        if not alike:
            return found
        depth += 1
        longer = {entry: entry._replace(title=_path_title(entry.model, depth)) for entry in alike if not entry.named}
        if all(entry.title == new.title for entry, new in longer.items()):
            first, second = [entry.model for entry in alike if entry.title == alike[0].title][:2]
            raise UserError(f"{first} and {second} are both called {alike[0].title}: give them titles in a YAML list")
        found = [longer.get(entry, entry) for entry in found]


def _path_title(model: str, depth: int) -> str:
    path = Path(model)
    if not path.suffix and len(path.parts) == 1:
        return model
    folders = [part for part in path.parts[:-1] if part != path.anchor]
    return "/".join([*folders[len(folders) + 1 - depth if depth <= len(folders) else 0 :], path.stem])


def _entry(model: str, title: str | None = None, link: str | None = None) -> Entry:
    named = _path_title(model, 1) if title is None else title
    return Entry(model, " ".join(named.split()), link or "", title is not None)


def _listed(path: Path) -> list[Entry]:
    try:
        items = yaml.safe_load(files.read_text(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}: give a YAML list of models") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML ({one_line(error)}): write a list of models") from None
    if not isinstance(items, list):
        raise UserError(f"{path} is no list of models: begin each with `- model: FILE`")
    return [_item(path, number, item) for number, item in enumerate(items, 1)]


def _item(path: Path, number: int, item: Any) -> Entry:
    try:
        known = _Item.model_validate({"model": item} if isinstance(item, str) else item)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: model {number}: {f'{key}: ' if key else ''}{first['msg']}") from None
    beside = path.parent / Path(known.model).expanduser()
    there = known.model not in UNTRAINED and beside.is_file()
    return _entry(str(beside) if there else known.model, known.title, known.link)
