"""`import blindsr`: what it offers, that it is typed and documented, costs nothing, and has true examples."""

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import blindsr

PACKAGE = Path(blindsr.__file__).parent
MODULES = sorted(f"blindsr.api.{path.stem}" for path in (PACKAGE / "api").glob("[a-z]*.py"))


def test_import_loads_nothing_else() -> None:
    program = "import sys; before = set(sys.modules); import blindsr; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names) == {"blindsr"}


def test_names_are_found_and_listed() -> None:
    for name in blindsr.__all__:
        assert getattr(blindsr, name) is not None
        assert name in dir(blindsr)
    with pytest.raises(AttributeError, match="has no attribute 'upscal'"):
        blindsr.upscal  # noqa: B018
    rooms = {path.stem for path in PACKAGE.iterdir()}
    assert not rooms & set(blindsr.__all__)  # a module that is imported would take the name's place


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    typed = {
        alias.asname: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == {name: module for module, names in blindsr._PUBLIC.items() for name in names}
    assert (PACKAGE / "py.typed").is_file()


def test_docstrings_say_what_goes_in_and_out() -> None:
    for name in blindsr.__all__:
        value = getattr(blindsr, name)
        if not inspect.isfunction(value) and not (inspect.isclass(value) and value.__module__ in MODULES):
            continue
        text = inspect.getdoc(value) or ""
        if inspect.isclass(value) and issubclass(value, tuple):
            continue  # a record: its fields have their own
        assert "Args:" in text, name
        assert "Raises:" in text, name
        assert "Example:" in text, name
        if inspect.isfunction(value):
            assert "Returns:" in text, name


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 2
    assert not found.failed
