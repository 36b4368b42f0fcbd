"""Zip archives: the directory is read up to a bound, and the members as ever."""

import io
import zipfile

import pytest

from blindsr.runtime import zip_files
from blindsr.runtime.zip_files import TooManyMembersError


def zipped(count: int, comment: bytes = b"", name: str = "{}") -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(count):
            archive.writestr(name.format(number), b"content" * 1000)
        archive.comment = comment
    return file


def test_an_archive_within_the_bound_is_read_as_ever() -> None:
    for comment in (b"", b"words" * 10):
        with zip_files.open_zip(zipped(3, comment), 3) as archive:
            assert archive.namelist() == ["0", "1", "2"]
            assert archive.read("1") == b"content" * 1000


def test_too_many_members_are_refused() -> None:
    with pytest.raises(TooManyMembersError, match="it holds 4 files, and 3 are"):
        zip_files.open_zip(zipped(4), 3)


def test_a_long_directory_is_not_even_read() -> None:
    with pytest.raises(TooManyMembersError, match="directory is too long"):
        zip_files.open_zip(zipped(3, name="n" * 60_000 + "{}"), 3)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\5\6"])
def test_what_is_no_archive_is_what_the_reader_says(content: bytes) -> None:
    with pytest.raises(zipfile.BadZipFile):
        zip_files.open_zip(io.BytesIO(content), 3)
