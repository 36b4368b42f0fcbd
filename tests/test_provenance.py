"""The digest of the code changes with any loaded module of this project, and with nothing else."""

import sys
from pathlib import Path
from types import ModuleType

from blindsr import plugins, provenance


def test_it_is_that_of_the_loaded_modules(tmp_path: Path, monkeypatch) -> None:
    before = provenance.code_digest()
    assert len(before) == 8
    assert provenance.code_digest() == before
    for name, changes in (("blindsr.of_the_test", True), ("blindsr_of_another", False)):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / "code.py")
        (tmp_path / "code.py").write_text("x = 1")
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, module)
            first = provenance.code_digest()
            assert (first != before) == changes
            (tmp_path / "code.py").write_text("x = 2")
            assert (provenance.code_digest() != first) == changes
    assert provenance.code_digest() == before


def test_of_a_cell_it_is_that_of_its_own_plug_ins() -> None:
    """A state is found again whatever else the settings name."""
    for name in ("srresnet", "msrn"):
        plugins.load("backbone", name)
    plugins.load("regularizer", "linear")
    own = provenance.code_digest(["srresnet", "linear"])
    plugins.load("regularizer", "dropout")
    assert provenance.code_digest(["srresnet", "linear"]) == own
    assert len({own, provenance.code_digest(["msrn", "linear"]), provenance.code_digest(["srresnet"])}) == 3
