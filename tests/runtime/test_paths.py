"""Paths below a folder lead nowhere else."""

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

PART = st.sampled_from(["..", ".", "", "a", "b.png", "C:", "é", "\\", "..\\", "\n", "\0", "~", "...", "a..b"])


@pytest.mark.parametrize("good", ["a.png", "HR/a.png", "a..b/...c", "é ü.png", "~/a", "ab:c"])
def test_a_path_below_a_folder_comes_back(good: str) -> None:
    assert paths.require_inside(good) == good


@settings(deadline=None)
@given(parts=st.lists(PART, min_size=1, max_size=4), head=st.sampled_from(["", "/", "\\", "C:/"]))
def test_whatever_is_taken_lies_below_the_folder(parts: list[str], head: str) -> None:
    text = head + "/".join(parts)
    try:
        paths.require_inside(text)
    except ValueError:
        return
    assert Path("/folder", text).resolve().is_relative_to("/folder")
    assert ".." not in PureWindowsPath(text).parts
    assert not PureWindowsPath(text).is_absolute()
    assert text.isprintable()


def test_places_of_a_user_are_expanded_where_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setenv("SETS", "/disk/sets")
    monkeypatch.delenv("ABSENT", raising=False)
    for place, absolute in [
        ("own", tmp_path / "own"),
        ("/a/b", Path("/a/b")),
        ("~/own", Path("/home/anna/own")),
        ("$SETS/a", Path("/disk/sets/a")),
        ("${SETS}/a", Path("/disk/sets/a")),
        ("cost$", tmp_path / "cost$"),
    ]:
        assert paths.of_user(place) == paths.of_user(Path(place)) == absolute
    with pytest.raises(UserError, match=r"^\$ABSENT/a names \$ABSENT, which is not set: `export ABSENT="):
        paths.of_user("$ABSENT/a")
    with pytest.raises(UserError, match="a user who is not known"):
        paths.of_user("~nobody_of_this_name/a")


def test_absolute_places_are_private() -> None:
    assert all(map(paths.is_private, ["/home/anna/x", "C:\\Users\\anna\\x", "D:/x"]))
    assert not any(map(paths.is_private, ["own", "~/x", "$SETS/x", "a/b"]))
