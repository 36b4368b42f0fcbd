"""The digest of the code changes with any loaded module of this project, and with nothing else."""

import sys
from pathlib import Path
from types import ModuleType

from blindsr import provenance


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
