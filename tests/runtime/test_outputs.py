"""What a user names to be written: links, devices, pipes, streams, and places where nothing can be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blindsr.runtime import files, outputs
from blindsr.runtime.errors import UserError


def test_a_link_stays_a_link_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.csv", tmp_path / "a.csv"
    target.write_text("old")
    link.symlink_to(target)
    files.write_atomic(outputs.pointed_to(link), "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    files.write_atomic(Path(f"/proc/self/fd/{writer}"), "through")
    assert os.read(reader, 100) == b"through"
    assert outputs.is_stream(Path(f"/proc/self/fd/{writer}"))
    assert not outputs.is_stream(tmp_path)
    os.close(reader)
    files.write_atomic(Path(f"/dev/fd/{writer}"), "to no one")  # who has enough is no error
    os.close(writer)


def test_a_named_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    files.write_atomic(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    files.write_atomic(Path("/dev/null"), "gone")
    with pytest.raises(UserError, match="/dev/full: the disk is full"):
        files.write_atomic(Path("/dev/full"), "too much")


def test_standard_output_may_be_a_file(tmp_path: Path) -> None:
    """Which is neither replaced nor written over: what is printed before and after stays."""
    code = "from pathlib import Path\nfrom blindsr.runtime import files\nprint('before')\n"
    code += "files.write_atomic(Path('/dev/stdout'), 'between\\n')\nprint('after')\n"
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\nbetween\nafter\n"


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "a.csv")
    for path in (tmp_path / "new" / "folder" / "a.csv", tmp_path / "file", tmp_path / "link", Path("/dev/null")):
        outputs.require_writable(path)
    reader, writer = os.pipe()
    outputs.require_writable(Path(f"/dev/fd/{writer}"))
    os.close(reader)
    os.close(writer)
    for path, says in (
        (tmp_path, "is a folder: name the file to write"),
        (tmp_path / "file" / "a.csv", "choose a place"),
        (tmp_path / ("x" * 256), "File name too long"),
        (Path(f"/dev/fd/{writer}"), "choose a place"),
        (Path("/proc/a.csv"), "choose a place"),
    ):
        with pytest.raises(UserError, match=says):
            outputs.require_writable(path)
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_in_a_folder_that_is_read_only_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UserError, match="choose a place"):
            outputs.require_writable(tmp_path / "a.csv")
    finally:
        tmp_path.chmod(0o755)
