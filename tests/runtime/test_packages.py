"""Packages that single commands need: found without being imported, and named with the way to install them."""

import sys

import numpy
import pytest

from blindsr.runtime import packages
from blindsr.runtime.errors import UserError


def test_a_package_is_found_without_being_imported(tmp_path, monkeypatch) -> None:
    (tmp_path / "package_of_this_test.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    assert packages.installed("package_of_this_test")
    packages.require("package_of_this_test", "this test")
    assert "package_of_this_test" not in sys.modules
    assert not packages.installed("another_package_of_this_test")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not packages.installed("torch")


class Refusing:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "refused_package":
            raise ModuleNotFoundError(name)


def test_a_finder_that_refuses_is_one_that_has_it_not(monkeypatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [Refusing, *sys.meta_path])
    assert not packages.installed("refused_package")


def test_what_is_missing_is_one_line_with_its_name_in_the_index(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UserError) as error:
        packages.require("sklearn", "`blindsr analyse`", "scikit-learn")
    said = "`blindsr analyse` needs scikit-learn, which is not installed: pip install scikit-learn"
    assert str(error.value) == said


def test_versions_are_of_what_is_installed_in_order() -> None:
    found = packages.versions(["torch", "no-such-package-of-this-test", "numpy"])
    assert list(found) == ["torch", "numpy"]
    assert found["numpy"] == numpy.__version__
