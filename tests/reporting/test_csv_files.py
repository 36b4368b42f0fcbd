"""CSV files of other stages: numbers are numbers, names are texts."""

from pathlib import Path

import numpy as np
import pytest

from blindsr.reporting import csv_files
from blindsr.runtime.errors import UserError


def read(path: Path, text: str, **options):
    path.write_text(text)
    return csv_files.read(path, again="make it again", **options)


def test_what_is_not_known_is_nan_and_a_name_is_a_name(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "image,x,y\nnan,nan,1\n007,,inf\n", needed=["image", "x"])
    assert found["image"].tolist() == ["nan", "007"]
    assert np.isnan(found["x"]).all()
    assert found["y"].tolist() == [1, np.inf]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("image\na\n", "has no column x"),
        ("image,x\na,abc\n", "has text in its column x"),
        ("image,x\na,1\na,2\n", r"has a row twice \(a\)"),
        ("image,x\na,1,2\n", "is damaged"),
        ("image,x\na\n", "is damaged"),
        ("image,x\na,1\nb,2", "is cut off"),
        ("image,x\na,1\n,2\n", "has an empty cell in its column image"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=rf"a\.csv {says}.*: make it again"):
        read(tmp_path / "a.csv", text, needed=["image", "x"], unique=["image"])


def test_a_file_without_rows_has_numbers_all_the_same(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "image,x\n", needed=["x"])["x"].dtype == float
