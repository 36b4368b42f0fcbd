"""The attacks of a moment; `python -m tests.attacks` has all of them, with more rounds."""

from pathlib import Path

import pytest

from blindsr.runtime.errors import UserError
from tests import attacks
from tests.attack_tools import SECRET
from tests.integrity_project import make


def test_attacks_end_well_or_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    make()
    groups = attacks.run(tmp_path, 10, 0, quick=True)
    assert not [line for group in groups.values() for line in group.failed]
    assert sum(group.tried for group in groups.values()) > 100


def _raise(error: BaseException) -> None:
    raise error


def test_what_is_no_good_end_is_found() -> None:
    assert attacks.outcome(lambda: None) == ""
    assert attacks.outcome(lambda: "accepted") == "accepted"
    assert attacks.outcome(lambda: _raise(UserError("wrong"))) == ""
    assert attacks.outcome(lambda: _raise(UserError("two\nlines"))).startswith("several lines")
    assert attacks.outcome(lambda: _raise(KeyError("x"))) == "KeyError: 'x'"
    assert attacks.outcome(lambda: _raise(SystemExit(2))) == ""
    assert attacks.outcome(lambda: _raise(SystemExit(1))) == "status 1"
    assert attacks.outcome(lambda: print(f"at {SECRET}")).startswith("it says")
    assert attacks.table({"a": attacks.Group(1, ["b"])}).splitlines()[1].split() == ["a", "2", "1", "1"]
