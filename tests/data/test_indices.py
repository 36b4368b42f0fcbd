"""Indices: no trace of this machine, and a folder for every set."""

from pathlib import Path

import pytest

from blindsr.data import indices
from blindsr.data.indices import Index, IndexedImage
from blindsr.runtime import files
from blindsr.runtime.errors import UserError

IMAGE = IndexedImage(name="a", file="sub/a.png", width=16, height=12, sha256="0" * 64)


def test_an_index_comes_back_as_it_was_written(tmp_path: Path) -> None:
    index = Index(name="Toy", images=[IMAGE])
    index.write(tmp_path)
    assert str(tmp_path) not in (tmp_path / "Toy.json").read_text()
    assert indices.read_index("Toy", tmp_path) == index


def test_a_missing_or_foreign_index_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro fetch"):
        indices.read_index("Absent", tmp_path)
    (tmp_path / "Old.json").write_text('{"name": "Old", "pictures": []}')
    with pytest.raises(UserError, match="dvc repro --force fetch"):
        indices.read_index("Old", tmp_path)


def test_a_root_is_relative_to_the_project_also_in_a_temporary_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "trunk.pth").touch()
    assert indices.set_folder("Toy", {"Toy": Path("images")}) == tmp_path / "images"
    assert indices.set_folder("Toy", {"Toy": tmp_path / "trunk.pth"}) == tmp_path  # a file of weights
    assert indices.set_folder("Toy", {}) == Path("data/raw/Toy")


def test_the_trunk_is_a_file_or_what_to_do_to_have_it(tmp_path: Path) -> None:
    (tmp_path / "alex.pth").touch()
    sha256 = files.sha256(tmp_path / "alex.pth")
    weights = IndexedImage(name="alex", file="alex.pth", width=0, height=0, sha256=sha256)
    Index(name="here", images=[weights]).write(tmp_path)
    Index(name="gone", missing="fetch it").write(tmp_path)
    assert indices.trunk_file("here", {"here": tmp_path / "alex.pth"}, tmp_path)[0] == tmp_path / "alex.pth"
    (tmp_path / "alex.pth").write_bytes(b"flipped")
    with pytest.raises(UserError, match=r"alex\.pth is damaged, or has changed .*dvc repro --force fetch"):
        indices.trunk_file("here", {"here": tmp_path / "alex.pth"}, tmp_path)
    with pytest.raises(UserError, match=r"data/raw/here/alex\.pth cannot be read"):
        indices.trunk_file("here", {}, tmp_path)
    assert indices.trunk_file("gone", {}, tmp_path) == (None, "fetch it")
    assert indices.trunk_file(None, {}, tmp_path) == (None, "name a set in data.lpips_trunk")
    with pytest.raises(UserError, match="run `dvc repro fetch`"):
        indices.trunk_file("absent", {}, tmp_path)


@pytest.mark.parametrize("file", ["../../x.png", "/etc/passwd", "a/../../x.png"])
def test_an_index_that_leads_out_of_its_folder_is_none(tmp_path: Path, file: str) -> None:
    index = Index(name="Toy", images=[IMAGE])
    index.write(tmp_path)
    path = tmp_path / "Toy.json"
    path.write_text(path.read_text().replace("sub/a.png", file))
    with pytest.raises(UserError, match="is no index"):
        indices.read_index("Toy", tmp_path)


def test_what_was_left_out_is_noted_only_where_there_is_something(tmp_path: Path) -> None:
    Index(name="Toy", images=[IMAGE]).write(tmp_path)
    assert "left_out" not in (tmp_path / "Toy.json").read_text()
    index = Index(name="Toy", images=[IMAGE], left_out=["b.png"])
    index.write(tmp_path)
    assert indices.read_index("Toy", tmp_path) == index
