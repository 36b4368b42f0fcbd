"""Paths below a folder lead nowhere else."""

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.runtime import paths

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
