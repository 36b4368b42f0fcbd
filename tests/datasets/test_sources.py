"""Where sets come from: packages and folders of the user's own."""

from pathlib import Path

import numpy as np
import pytest

from blindsr.datasets import catalog, sources
from blindsr.datasets.catalog import Manifest
from blindsr.errors import UserError
from blindsr.images import write_png

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder with this project's manifests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifests").symlink_to(ROOT / "data" / "manifests")
    return tmp_path


@pytest.mark.parametrize(("name", "count"), [("embedded_train", 5), ("embedded_test", 3)])
def test_embedded_photos_are_in_the_pinned_packages(name: str, count: int, project: Path) -> None:
    index = sources.obtain(catalog.load_manifest(name), {})
    assert len(index.images) == count
    assert all((project / "data" / "raw" / name / image.file).is_file() for image in index.images)
    assert min(min(image.width, image.height) for image in index.images) >= 240


def test_another_release_of_a_package_is_one_line(project: Path) -> None:
    manifest = catalog.load_manifest("embedded_test")
    changed = manifest.model_dump(mode="json")
    changed["files"]["coffee.png"]["sha256"] = "0" * 64
    with pytest.raises(UserError, match="embedded_test: .*coffee.png has SHA-256"):
        sources.obtain(Manifest.model_validate(changed), {})


@pytest.mark.parametrize(
    ("folders", "says"),
    [(["no_such_package/data"], "no_such_package is not installed"), (["skimage/data"], "no installed package has")],
)
def test_an_absent_package_or_file_is_one_line(folders: list[str], says: str) -> None:
    changed = catalog.load_manifest("embedded_test").model_dump(mode="json")
    changed["sources"] = [{"kind": "package", "folders": folders}]
    with pytest.raises(UserError, match=f"{says}.*make setup"):
        sources.obtain(Manifest.model_validate(changed), {})


def test_a_folder_of_the_users_own_is_used_in_place(project: Path, tmp_path: Path) -> None:
    own = project / "elsewhere"
    own.mkdir()
    write_png(own / "x.png", np.zeros((8, 8, 3), np.uint8))
    manifest = catalog.load_manifest("embedded_test").model_copy(update={"files": {}})
    index = sources.obtain(manifest, {"embedded_test": own})
    assert [image.file for image in index.images] == ["x.png"]
    assert not (project / "data" / "raw").exists()


def test_weights_may_be_one_file_of_any_name(project: Path) -> None:
    (project / "trunk.pth").write_bytes(b"weights")
    index = sources.obtain(catalog.load_manifest("lpips_alexnet"), {"lpips_alexnet": Path("trunk.pth")})
    assert [image.file for image in index.images] == ["trunk.pth"]


def test_a_root_without_a_manifest_is_one_line(project: Path) -> None:
    with pytest.raises(UserError, match=r"data\.roots names 'Set55', which has no manifest"):
        sources.obtain(catalog.load_manifest("embedded_test"), {"Set55": Path("x")})


def test_a_set_that_only_the_user_can_get_says_how(project: Path) -> None:
    changed = catalog.load_manifest("embedded_test").model_dump(mode="json")
    changed |= {"name": "Toy", "sources": [{"kind": "user", "help": "ask the authors at example.org"}]}
    with pytest.raises(UserError, match=r"ask the authors at example.org, then set data\.roots\.Toy"):
        sources.obtain(Manifest.model_validate(changed), {})
