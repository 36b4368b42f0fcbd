"""What the documentation prints is true: its Python prints what is shown, its commands and settings exist."""

import contextlib
import io
import itertools
import json
import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import typer
import yaml

from blindsr import __version__
from blindsr.cli import app
from blindsr.config import conf

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMANDS = typer.main.get_command(app)


def _names(path: Path) -> str:
    return str(path.relative_to(ROOT / "docs"))


def _commands(path: Path, first: str) -> Iterator[list[str]]:
    """Words of the page's commands of one program, without their comments."""
    for language, text in BLOCK.findall(path.read_text(encoding="utf-8")):
        if language not in ("bash", "console", "powershell"):
            continue
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&", line.removeprefix("$ ")):
                if part.strip().startswith(f"{first} "):
                    yield shlex.split(part, comments=True)


def _run(code: str, namespace: dict[str, object]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        exec(compile(code, "<page>", "exec"), namespace)
    return printed.getvalue()


@pytest.mark.needs("skimage")
def test_notebook_prints_what_it_shows() -> None:
    plt.switch_backend("agg")
    notebook = json.loads((ROOT / "docs" / "quick_start.ipynb").read_text(encoding="utf-8"))
    namespace: dict[str, object] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 4
    for cell in cells:
        shown = "".join("".join(output.get("text", "")) for output in cell["outputs"])
        figures = [output for output in cell["outputs"] if "image/png" in output.get("data", {})]
        assert _run("".join(cell["source"]), namespace) == shown
        assert len(plt.get_fignums()) == len(figures)
        plt.close("all")


@pytest.mark.parametrize("path", PAGES, ids=_names)
def test_python_prints_what_follows_it(path: Path) -> None:
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    for (language, code), (after, shown) in itertools.pairwise(blocks):
        if language == "python" and after == "text":
            assert _run(code, {}).strip() == shown.strip()


def test_some_page_has_python_with_its_output() -> None:
    assert any("```python" in path.read_text(encoding="utf-8") for path in PAGES)


@pytest.mark.parametrize("path", PAGES, ids=_names)
def test_commands_exist(path: Path) -> None:
    for words in _commands(path, "blindsr"):
        command = COMMANDS
        for word in words[1:]:
            if known := getattr(command, "commands", None):  # of a group of commands
                assert word in known, words
                command = known[word]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        given = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert given <= options, words


@pytest.mark.parametrize("path", PAGES, ids=_names)
def test_targets_of_make_exist(path: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for words in _commands(path, "make"):
        assert {word for word in words[1:] if "=" not in word} <= set(targets), words


def _settings() -> list[tuple[str, ...]]:
    """What `dvc exp run` gets in the pages, but for sweeps, and for plug-ins that the reader writes."""
    found: set[tuple[str, ...]] = set()
    for path in PAGES:
        for words in _commands(path, "dvc"):
            given = tuple(words[place + 1] for place, word in enumerate(words[:-1]) if word in ("-S", "--set-param"))
            if "exp" in words and given and "--queue" not in words and "deviation" not in str(given):
                found.add(given)
    return sorted(found)


@pytest.mark.needs("hydra")
@pytest.mark.parametrize("given", _settings(), ids=" ".join)
def test_settings_exist(given: tuple[str, ...]) -> None:
    conf.compose(ROOT / "conf", [item.replace("…", "folder") for item in given])


def test_regularizer_of_the_tutorial_is_the_one_that_is_tested() -> None:
    """tests/e2e/test_contributing.py runs the example of CONTRIBUTING.md."""
    tutorial = (ROOT / "docs" / "tutorials" / "regularizer.md").read_text(encoding="utf-8")
    contributing = BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    blocks = [(language, text) for language, text in BLOCK.findall(tutorial) if language in ("python", "yaml")]
    assert len(blocks) == 2
    assert set(blocks) <= set(contributing)


def test_citation_and_changes_are_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_workflows_pin_actions_and_only_read() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
        for used in re.findall(r"uses: (\S+)", text):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), used
