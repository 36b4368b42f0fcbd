"""Files on their way: a kill leaves nothing with a name, and what it leaves where names are needed is swept."""

import os
import stat
from pathlib import Path

import pytest

from blindsr.runtime import temporary


def _write(path: Path, content: bytes) -> None:
    with temporary.whole(path) as file:
        file.write(content)


@pytest.fixture(params=["unnamed", "named"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, on a system that has files without a name and on one that has not."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return tmp_path


def test_a_file_has_its_name_when_it_is_whole(folder: Path) -> None:
    target = folder / "table.csv"
    with temporary.whole(target) as file:
        file.write(b"a,b\n")
        assert not target.exists()
    assert target.read_bytes() == b"a,b\n"
    assert list(folder.iterdir()) == [target]


def test_what_was_there_stays_until_then_and_after_an_error(folder: Path) -> None:
    target = folder / "table.csv"
    _write(target, b"old")
    with pytest.raises(RuntimeError), temporary.whole(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
        raise RuntimeError
    assert target.read_bytes() == b"old"
    _write(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(folder.iterdir()) == [target]


def test_rights_are_those_of_any_new_file(folder: Path) -> None:
    mask = os.umask(0o027)
    try:
        _write(folder / "mine", b"")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((folder / "mine").stat().st_mode) == 0o640


def test_a_name_of_255_bytes(folder: Path) -> None:
    _write(folder / ("n" * 255), b"long")
    assert (folder / ("n" * 255)).read_bytes() == b"long"


def test_a_link_is_replaced_not_followed(folder: Path) -> None:
    (folder / "far").write_bytes(b"far")
    (folder / "link").symlink_to("far")
    _write(folder / "link", b"near")
    assert (folder / "far").read_bytes() == b"far"
    assert not (folder / "link").is_symlink()


def test_sweep_removes_what_a_kill_left_and_not_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    (tmp_path / "sub").mkdir()
    left = tmp_path / "sub" / ".blindsr-0123456789abcdef"
    left.write_bytes(b"half")
    (tmp_path / ".hidden").write_bytes(b"of someone else")
    with temporary.whole(tmp_path / "table.csv") as file:
        file.write(b"all of it")
        temporary.sweep(tmp_path, tmp_path / "missing")
        assert not left.exists()
    assert (tmp_path / "table.csv").read_bytes() == b"all of it"
    assert (tmp_path / ".hidden").exists()


def test_sweep_leaves_what_only_looks_like_one(tmp_path: Path) -> None:
    (tmp_path / ".blindsr-folder").mkdir()
    os.mkfifo(tmp_path / ".blindsr-pipe")
    temporary.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".blindsr-folder", ".blindsr-pipe"]
