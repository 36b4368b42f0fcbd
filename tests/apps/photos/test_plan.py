"""Which files are read, and what becomes of them."""

import os
from pathlib import Path

import pytest

from blindsr.apps.photos.plan import plan, unread
from blindsr.runtime.errors import UserError


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/{a.jpg,b.TIF,notes.txt,.hidden.png,deep/er/c.png,.git/x.png} in the working directory."""
    for name in ("a.jpg", "b.TIF", "notes.txt", ".hidden.png", "deep/er/c.png", ".git/x.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*inputs: str, out: str | None = None, format: str | None = None) -> dict[str, str]:
    items = plan(inputs, Path(out) if out else None, format, "_x4")
    return {str(item.source): str(item.target) for item in items}


def test_a_file():
    assert planned("photos/a.jpg") == {"photos/a.jpg": "photos/a_x4.png"}
    assert planned("photos/a.jpg", format="same") == {"photos/a.jpg": "photos/a_x4.jpg"}
    assert planned("photos/a.jpg", out="big") == {"photos/a.jpg": "big/a.png"}
    assert planned("photos/a.jpg", out="big/new.webp") == {"photos/a.jpg": "big/new.webp"}
    (item,) = plan(["photos/a.jpg"], Path("new.tif"), None, "_x4")
    assert item.container == "tif"
    assert item.comparisons == (Path("new.compare.png"), Path("new.compare.html"))


@pytest.mark.parametrize("given", ["photos", "photos/", "./photos"])
def test_a_folder_keeps_its_tree_and_leaves_out_what_is_hidden_or_no_photo(given):
    found = {Path(k): Path(v) for k, v in planned(given).items()}
    assert found == {
        Path("photos/a.jpg"): Path("photos_x4/a.png"),
        Path("photos/b.TIF"): Path("photos_x4/b.png"),
        Path("photos/deep/er/c.png"): Path("photos_x4/deep/er/c.png"),
    }


def test_the_working_directory(tree, monkeypatch):
    monkeypatch.chdir(tree / "photos" / "deep")
    assert planned(".") == {"er/c.png": str(tree / "photos" / "deep_x4" / "er" / "c.png")}


def test_same_keeps_the_names():
    assert list(planned("photos", out="big", format="same").values()) == [
        "big/a.jpg",
        "big/b.TIF",
        "big/deep/er/c.png",
    ]


def test_an_output_folder_inside_of_the_input_is_not_read_again(tree):
    (tree / "photos" / "big").mkdir()
    (tree / "photos" / "big" / "a.png").write_bytes(b"result")
    assert "photos/big/a.png" not in planned("photos", out="photos/big")


def test_patterns_keep_their_tree_below_the_fixed_part():
    assert planned("photos/**/*.png", out="big") == {"photos/deep/er/c.png": "big/deep/er/c.png"}
    assert planned("photos/*") == {
        "photos/a.jpg": "photos/a_x4.png",
        "photos/b.TIF": "photos/b_x4.png",
        "photos/deep/er/c.png": "photos/deep_x4/er/c.png",
    }
    assert planned("pho*", out="big")["photos/deep/er/c.png"] == "big/photos/deep/er/c.png"


def test_a_name_with_brackets_is_a_name(tree):
    (tree / "photos" / "a[1].png").write_bytes(b"")
    assert planned("photos/a[1].png") == {"photos/a[1].png": "photos/a[1]_x4.png"}


def test_several_inputs_and_none_twice():
    assert planned("photos/a.jpg", "photos/deep/../a.jpg", "photos/deep", out="big") == {
        "photos/a.jpg": "big/a.png",
        "photos/deep/er/c.png": "big/deep/er/c.png",
    }


def test_two_photos_of_one_name_keep_their_suffixes(tree):
    (tree / "photos" / "a.png").write_bytes(b"")
    found = planned("photos", out="big")
    assert found["photos/a.jpg"] == "big/a.jpg.png"
    assert found["photos/a.png"] == "big/a.png.png"
    assert found["photos/b.TIF"] == "big/b.png"


def test_results_of_an_earlier_run_are_no_inputs(tree):
    for name in ("c_x4.png", "c_x4.compare.png"):
        (tree / "photos" / "deep" / "er" / name).write_bytes(b"result")
    assert planned("photos/deep/er/*.png") == {"photos/deep/er/c.png": "photos/deep/er/c_x4.png"}


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_no_input_is_ever_replaced(tree, link):
    with pytest.raises(UserError, match=r"photos/deep/er/c.png would replace an input: give --out another folder"):
        planned("photos", out="photos")
    link(tree / "photos" / "a.jpg", tree / "other.png")
    with pytest.raises(UserError, match=r"other.png would replace an input"):
        planned("photos/a.jpg", out="other.png")


@pytest.mark.parametrize(
    ("inputs", "out", "format", "says"),
    [
        (["absent.png"], None, None, "absent.png: no such file or folder"),
        (["photos/*.bmp"], None, None, "photos/.*bmp holds no photo"),
        (["photos/.git/.."], None, "gif", "unknown format gif: choose from png, jpg, webp, same"),
        (["photos"], "one.png", None, "3 photos cannot all become one.png: give --out a folder"),
        (["photos/a.jpg"], "one.png", "jpg", "one.png would hold jpg"),
        (["photos/a.jpg"], "one.gif", None, "one.gif would hold png"),
    ],
)
def test_what_cannot_be_planned_is_one_line(inputs, out, format, says):
    with pytest.raises(UserError, match=says):
        planned(*inputs, out=out, format=format)


@pytest.mark.parametrize(
    ("names", "targets"),
    [
        (["cam1/f.png", "cam2/f.png"], ["big/cam1_f.png.png", "big/cam2_f.png.png"]),
        (["cam1/f.png", "cam1/F.png"], ["big/f.png.png", "big/cam1_F.png.png"]),  # one file on some systems
        (["cam1/f.jpg", "cam1/f.png", "cam2/f.png"], ["big/f.jpg.png", "big/cam1_f.png.png", "big/cam2_f.png.png"]),
    ],
)
def test_no_two_photos_become_one_file(tree, names, targets):
    for name in names:
        path = tree / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    found = list(planned(*names, out="big").values())
    assert len({target.casefold() for target in found}) == len(names)
    if targets[0] != "big/f.png.png":
        assert found == targets


def test_two_folders_of_one_name(tree):
    for name in ("x/day/f.png", "y/day/f.png"):
        path = tree / name
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode())
    found = planned("x/day", "y/day", out="big")
    assert found == {"x/day/f.png": "big/day/x_day_f.png.png", "y/day/f.png": "big/day/y_day_f.png.png"}


@pytest.mark.parametrize("letter", ["n", "ü"])
def test_a_name_as_long_as_a_file_system_takes_leaves_room_for_what_lies_beside_the_result(tree, letter):
    names = [letter * (248 // len(letter.encode())) + end for end in ("a.png", "b.png")]
    for name in names:
        (tree / "photos" / name).write_bytes(b"x")
    items = plan([f"photos/{name}" for name in names], Path("big"), None, "_x4")
    assert len({item.target for item in items}) == 2
    for item in items:
        for path in (item.target, *item.comparisons):
            assert len(path.name.encode()) <= 255


def test_a_link_to_nothing_is_for_the_reader_to_name(tree):
    (tree / "photos" / "gone.jpg").symlink_to("nowhere.jpg")
    assert len(planned("photos")) == 4
    assert planned("photos/gone.jpg") == {"photos/gone.jpg": "photos/gone_x4.png"}


def test_folders_of_file_managers_hold_no_photos(tree):
    for name in ("@eaDir", "__MACOSX", ".ipynb_checkpoints"):
        (tree / "photos" / name).mkdir()
        (tree / "photos" / name / "thumb.png").write_bytes(b"x")
    assert len(planned("photos")) == 3


def test_formats_that_are_not_read_are_counted(tree):
    for name in ("a.HEIC", "deep/b.heic", "c.jxl", ".d.heic"):
        (tree / "photos" / name).write_bytes(b"x")
    assert unread(["photos", "photos/a.jpg"]) == {".heic": 2, ".jxl": 1}
