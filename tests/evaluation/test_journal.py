"""The journal of scores: what a kill leaves is read, whole rows alone and bit for bit."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import Key, Score
from blindsr.runtime.errors import UserError


def row(image="a", value=1 / 3):
    return Score(Key("Toy", "b+n", image), {"psnr_db": value, "mine": math.nan, "ssim": 0.5})


def test_rows_come_back_bit_for_bit(tmp_path):
    journal = Journal(tmp_path / "state")
    assert journal.read() == {}
    infinite = row("b", math.inf)
    journal.append([("s1", row()), ("s2", infinite)])
    found = Journal(tmp_path / "state").read()
    assert list(found) == [(Key("Toy", "b+n", "a"), "s1"), (Key("Toy", "b+n", "b"), "s2")]
    assert repr(list(found.values())) == repr([row(), infinite])  # NaN is not equal to itself


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(0, 400))
def test_a_kill_at_any_byte_costs_the_last_row_at_most(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    for name in "abc":
        journal.append([("s", row(name))])
    path = folder / "0.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    whole = {key.image for key, _ in journal.read()}
    complete = content[:cut].count(b"}]")
    assert whole == set("abc"[:complete])
    journal.append([("s", row("d"))])  # and what is written after it is whole
    assert {key.image for key, _ in journal.read()} == whole | {"d"}


def test_several_processes_share_a_folder(tmp_path):
    Journal(tmp_path / "s", "0").append([("x", row("a"))])
    Journal(tmp_path / "s", "1").append([("x", row("b"))])
    assert {key.image for key, _ in Journal(tmp_path / "s", "2").read()} == {"a", "b"}


def test_a_row_of_other_images_is_another_row(tmp_path):
    journal = Journal(tmp_path)
    journal.append([("old", row()), ("new", row(value=2.0))])
    key = row().key
    assert journal.read()[key, "old"].values["psnr_db"] == 1 / 3
    assert journal.read()[key, "new"].values["psnr_db"] == 2.0


def test_clear_removes_every_row_and_the_folder_but_nothing_else(tmp_path):
    journal = Journal(tmp_path / "s")
    journal.clear()
    journal.append([("x", row())])
    journal.clear()
    assert not (tmp_path / "s").exists()
    journal.append([("x", row())])
    (tmp_path / "s" / "other.txt").write_text("kept")
    journal.clear()
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["other.txt"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "s").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        Journal(tmp_path / "s").append([("x", row())])


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 400), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_its_row_and_changes_none(tmp_path_factory, place, bit):
    journal = Journal(tmp_path_factory.mktemp("run"))
    for name in "abc":
        journal.append([("s", row(name))])
    (path,) = journal._folder.glob("*.jsonl")
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    found = journal.read()
    assert len(found) >= 2
    assert all(repr(score) == repr(row(key.image)) for (key, _), score in found.items())


def test_rows_of_another_run_do_not_count(tmp_path):
    Journal(tmp_path / "a").append([("s", row())])
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "0.jsonl").rename(tmp_path / "b" / "0.jsonl")
    assert Journal(tmp_path / "b").read() == {}
