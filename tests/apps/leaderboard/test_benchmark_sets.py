"""Where the images of a leaderboard come from."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from blindsr.apps.leaderboard import benchmark_sets
from blindsr.data.images import write_png
from blindsr.data.indices import Index, IndexedImage
from blindsr.runtime.errors import UserError


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        write_png(folder / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with manifests of two sets: one whose images lie in data/raw, and one that is not here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "data" / "manifests").mkdir(parents=True)
    for name in ("Mine", "Gone"):
        sources = [{"kind": "user", "help": f"ask for {name}"}]
        manifest = {"name": name, "role": "benchmark", "title": name, "licence": "none", "sources": sources}
        (tmp_path / "data" / "manifests" / f"{name}.yaml").write_text(yaml.safe_dump(manifest))
    pictures(tmp_path / "data" / "raw" / "Mine", "a", "b")
    return tmp_path


def test_sets_by_name_and_folders(place: Path) -> None:
    pictures(place / "photos" / "Kodak", "k")
    found = benchmark_sets.find(["Mine", "Own=photos/Kodak", "photos/Kodak"], None)
    assert [(source.name, list(source.files)) for source in found] == [
        ("Mine", ["a", "b"]),
        ("Own", ["k"]),
        ("Kodak", ["k"]),
    ]
    assert all(path.is_file() for source in found for path in source.files.values())


def test_an_index_says_which_files_a_set_has(place: Path) -> None:
    image = IndexedImage(name="one", file="a.png", width=8, height=8, sha256="0" * 64)
    Index(name="Mine", images=[image]).write(place / "data" / "index")
    (source,) = benchmark_sets.find(["Mine"], None)
    assert list(source.files) == ["one"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            ["Gone"],
            "Gone is not here: give --on Gone=FOLDER; or ask for Gone, then set data.roots.Gone to its folder",
        ),
        (["Nothing"], "Nothing is neither a data set here nor a folder: give --on Nothing=FOLDER, or one of Gone"),
        (["X="], "--on X=: write NAME=FOLDER"),
        (["Mine", "Mine=data/raw/Mine"], "--on has two sets named Mine"),
        (["X=data"], "data holds no image"),
        ([], "--on names no set"),
    ],
)
def test_what_is_not_here_is_one_line(place: Path, names: list[str], says: str) -> None:
    with pytest.raises(UserError) as error:
        benchmark_sets.find(names, None)
    assert says in str(error.value)


def test_real_pairs_are_refused(place: Path) -> None:
    image = IndexedImage(name="one", file="a.png", width=8, height=8, sha256="0" * 64)
    text = Index(name="Mine", images=[image]).model_dump() | {"pairing": {"rule": "suffix", "hr": "_h", "lr": "_l"}}
    Index.model_validate(text).write(place / "data" / "index")
    with pytest.raises(UserError, match="a leaderboard degrades HR images itself"):
        benchmark_sets.find(["Mine"], None)
