"""Manifests and indices: what is accepted, and the line that names set, file and mend."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from blindsr.datasets import catalog
from blindsr.datasets.catalog import Manifest
from blindsr.errors import UserError
from blindsr.images import write_png

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "data" / "manifests"


def manifest(**settings: object) -> Manifest:
    """A benchmark manifest that the user must bring, with the given settings."""
    base = {
        "name": "Toy",
        "role": "benchmark",
        "title": "t",
        "licence": "l",
        "sources": [{"kind": "user", "help": "ask the authors"}],
    }
    return Manifest.model_validate(base | settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small images, b.png and a.png, and a text file."""
    for name, side in (("b", 8), ("a", 12)):
        write_png(tmp_path / f"{name}.png", np.full((side, 16, 3), 7, np.uint8))
    (tmp_path / "readme.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_manifest_is_valid_and_states_its_terms(path: Path) -> None:
    loaded = catalog.load_manifest(path.stem, MANIFESTS)
    assert loaded.licence
    assert loaded.sources


def test_no_embedded_test_photo_is_trained_on() -> None:
    train, test = (catalog.load_manifest(f"embedded_{part}", MANIFESTS) for part in ("train", "test"))
    assert len(train.files) + len(test.files) == 8
    assert not {entry.sha256 for entry in train.files.values()} & {entry.sha256 for entry in test.files.values()}


def test_an_unknown_set_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set 'Set6'.*embedded_test, embedded_train"):
        catalog.load_manifest("Set6", MANIFESTS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: [", "is not YAML"),
        ("name: Toy\nrole: bench\n", "role"),
        (yaml.safe_dump(manifest(name="Other").model_dump(mode="json")), "make them equal"),
    ],
)
def test_a_broken_manifest_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "Toy.yaml").write_text(text)
    with pytest.raises(UserError, match=says) as error:
        catalog.load_manifest("Toy", tmp_path)
    assert "\n" not in str(error.value)


def test_numbered_files_and_single_files_exclude_each_other() -> None:
    numbered = {"format": "{:04d}.png", "first": 801, "last": 900}
    assert list(manifest(numbered=numbered).expected)[::99] == ["0801.png", "0900.png"]
    with pytest.raises(ValueError, match="not both"):
        manifest(numbered=numbered, files={"a.png": {}})


def test_inspect_indexes_sizes_and_hashes_in_order(folder: Path) -> None:
    index = catalog.inspect(manifest(), folder)
    assert [(image.name, image.width, image.height) for image in index.images] == [("a", 16, 12), ("b", 16, 8)]
    assert index.images[0].sha256 == hashlib.sha256((folder / "a.png").read_bytes()).hexdigest()


def test_inspect_takes_only_the_files_of_the_manifest(folder: Path) -> None:
    assert [image.file for image in catalog.inspect(manifest(files={"b.png": {}}), folder).images] == ["b.png"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"b.png": {}, "c.png": {}}, "1 of 2 files are not in .*first: c.png"),
        ({"b.png": {"sha256": "0" * 64}}, "b.png has SHA-256 .*expected 000000000000"),
        ({"readme.txt": {}}, "readme.txt is no readable image"),
    ],
)
def test_inspect_names_set_file_and_mend(folder: Path, files: dict[str, dict[str, str]], says: str) -> None:
    with pytest.raises(UserError, match=f"^Toy: .*{says}"):
        catalog.inspect(manifest(files=files), folder)


def test_inspect_refuses_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"correct data\.roots\.Toy"):
        catalog.inspect(manifest(), tmp_path / "absent")
    with pytest.raises(UserError, match="holds no image"):
        catalog.inspect(manifest(), tmp_path)


def test_an_index_holds_no_path_of_this_machine_and_comes_back(folder: Path, tmp_path: Path) -> None:
    index = catalog.inspect(manifest(), folder)
    index.write(tmp_path / "index")
    assert str(tmp_path) not in (tmp_path / "index" / "Toy.json").read_text()
    assert catalog.read_index("Toy", tmp_path / "index") == index
    with pytest.raises(UserError, match="dvc repro fetch"):
        catalog.read_index("Absent", tmp_path / "index")


def test_a_root_is_relative_to_the_project_also_in_a_temporary_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(folder))
    assert catalog.set_folder("Toy", {"Toy": Path("images")}) == folder / "images"
    assert catalog.set_folder("Toy", {"Toy": folder / "a.png"}) == folder  # a file of weights
    assert catalog.set_folder("Toy", {}) == Path("data/raw/Toy")


def test_a_file_as_root_is_for_weights_only(folder: Path) -> None:
    weights = manifest(role="weights")
    assert catalog.inspect_weights(weights, folder / "readme.txt").images[0].file == "readme.txt"
    with pytest.raises(UserError, match="name the folder of its images"):
        catalog.inspect_weights(manifest(), folder / "a.png")
