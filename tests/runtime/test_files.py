"""Atomic writes: whole or not there, and a full disk is one line."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from blindsr.runtime import files
from blindsr.runtime.errors import UserError


def test_writes_and_makes_folders(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "a" / "b.txt", "ü\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "ü\n".encode()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(target) as file:
        file.write(b"new")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x"
    target.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        files.write_atomic(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_parent_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        files.write_atomic(tmp_path / "x" / "y", "new")


def test_files_have_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_atomic(tmp_path / "x", "")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_reserving_keeps_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    files.reserve(path, 10_000)
    assert path.read_bytes() == b"abc" + bytes(9997)
    files.reserve(path, 2)  # of another size
    assert path.read_bytes() == b"ab"


def test_no_room_to_reserve_is_one_line_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 5 << 20))
    with pytest.raises(UserError, match="7 MiB more are needed, 5 MiB are free: free space and run the same command"):
        files.reserve(tmp_path / "x", 7 << 20)
    assert list(tmp_path.iterdir()) == []
    files.require_free(tmp_path, 5 << 20)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_room_that_others_took_is_one_line_and_what_was_reserved_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="the disk is full"):
        files.reserve(tmp_path / "x", 10)
    assert (tmp_path / "x").stat().st_size == 0


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_a_file_system_that_cannot_reserve_gets_a_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(descriptor: int, start: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unable)
    files.reserve(tmp_path / "x", 10)
    assert (tmp_path / "x").read_bytes() == bytes(10)


def test_moving_replaces_a_link_also_from_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self.name == "far":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", across)
    for name in ("near", "far"):
        (tmp_path / "cached").write_text("old")
        (tmp_path / "cached").chmod(0o444)
        (tmp_path / "linked").hardlink_to(tmp_path / "cached")
        (tmp_path / name).write_text("new")
        files.move(tmp_path / name, tmp_path / "linked")
        assert (tmp_path / "linked").read_text() == "new"
        assert (tmp_path / "cached").read_text() == "old"
        assert not (tmp_path / name).exists()
        for left in tmp_path.iterdir():
            left.unlink()


def test_a_move_to_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        files.move(tmp_path / "x", tmp_path / "absent" / "x")


def test_a_table_has_fixed_bytes_and_comes_back(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "t.csv", ["name", "psnr_db"], [["b,n", "21.5"], ['say "ü"', ""], [7, 0.5]])
    assert (tmp_path / "t.csv").read_bytes() == 'name,psnr_db\n"b,n",21.5\n"say ""ü""",\n7,0.5\n'.encode()
    assert files.read_csv(tmp_path / "t.csv") == [
        {"name": "b,n", "psnr_db": "21.5"},
        {"name": 'say "ü"', "psnr_db": ""},
        {"name": "7", "psnr_db": "0.5"},
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"a,b\n1,2\n1\n", r"damaged \(row 2 has 1 of 2 cells\)"),
        (b"a,b\n1,2,3\n", r"damaged \(row 1 has 3 of 2 cells\)"),
        (b"a,b\n\n", r"damaged \(row 1 has 0 of 2 cells\)"),
        (b'a,b\n"1,2\n', r"damaged \(.+\)"),
        (b"a,b\n\xe9,2\n", r"damaged \(.+\)"),
        ("a,b\n1,2\n".encode("utf-16"), r"damaged \(.+\)"),
    ],
    ids=["empty", "short", "long", "blank line", "quote", "Latin-1", "UTF-16"],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"t\.csv is {said}: delete it and make it again"):
        files.read_csv(tmp_path / "t.csv")


def test_a_table_that_another_program_saved_is_read(tmp_path: Path) -> None:
    """With the byte order mark and the line ends of a spreadsheet."""
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n")
    assert files.read_csv(tmp_path / "t.csv") == [{"a": "1", "b": "2"}]


def test_hashes_are_those_of_the_standard(tmp_path: Path) -> None:
    """FIPS 180-2 has that of "abc"."""
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc") == files.sha256(b"abc") == files.sha256(memoryview(b"abc")) == known


def test_a_key_does_not_depend_on_the_order_of_mappings() -> None:
    assert files.key({"a": 1, "b": [2.5, None]}) == files.key({"b": [2.5, None], "a": 1})
    assert files.key({"a": 1}) == files.sha256(b'{"a": 1}')
    assert len({files.key(value) for value in ({"a": 1}, {"a": 2}, {"b": 1}, [1, 2], [2, 1])}) == 5


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_a_name_as_long_as_there_can_be_is_written(tmp_path: Path, name: str) -> None:
    files.write_atomic(tmp_path / name, "x")
    assert (tmp_path / name).read_text() == "x"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_name_that_is_no_text_is_written_by_its_number(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "a.csv", ["image"], [["caf\udce9"]])
    assert (tmp_path / "a.csv").read_text("utf-8") == "image\ncaf\\udce9\n"


@pytest.mark.parametrize(("name", "hidden"), [(".git", True), ("@eaDir", True), ("__MACOSX", True), ("a.png", False)])
def test_what_is_no_data_of_a_user(name: str, hidden: bool) -> None:
    assert files.is_hidden(name) is hidden


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "folder"])
def test_what_has_no_end_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    for read in (files.sha256, files.read_bytes, files.read_text):
        with pytest.raises(OSError, match="pipe or a device|directory"):
            read(path)


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert files.read_bytes(tmp_path / "b") == b"content"
    assert files.sha256(tmp_path / "b") == files.sha256(b"content")
