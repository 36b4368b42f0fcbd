"""Where sets come from: packages, hosts (a mirror on loopback), another set, folders of the user's own."""

import hashlib
import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blindsr.acquisition import catalog, sources
from blindsr.acquisition.catalog import Manifest
from blindsr.data import images
from blindsr.data.images import write_png
from blindsr.runtime.errors import UserError
from mirror import HOST, Mirror, data, manifest, png, raw, zipped

pytestmark = pytest.mark.usefixtures("project")
PNGS = ("a.png", "b.png", "c.png")


@pytest.fixture
def files_set(mirror: Mirror) -> Manifest:
    """Three images, one by one on the mirror under other names, with their sizes and hashes."""
    known = {}
    for value, file in enumerate(PNGS):
        content = png(value)
        (mirror.folder / f"{Path(file).stem}_HR.png").write_bytes(content)
        known[file] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return manifest({"kind": "files", "url": f"https://{HOST}/", "remote": "{stem}_HR{suffix}"}, files=known)


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize(("name", "count"), [("embedded_train", 5), ("embedded_test", 3)])
def test_embedded_photos_are_in_the_pinned_packages(name: str, count: int, project: Path) -> None:
    index = sources.obtain(catalog.load_manifest(name), data(offline=True))
    assert len(index.images) == count
    assert all((project / "data" / "raw" / name / image.file).is_file() for image in index.images)
    assert min(min(image.width, image.height) for image in index.images) >= 240


@pytest.mark.needs("sklearn")
def test_another_release_of_a_package_is_one_line() -> None:
    changed = catalog.load_manifest("embedded_test").model_dump(mode="json")
    changed["files"]["coffee.png"]["sha256"] = "0" * 64
    with pytest.raises(UserError, match="embedded_test: .*coffee.png has SHA-256"):
        sources.obtain(Manifest.model_validate(changed), data())


@pytest.mark.parametrize(
    ("folders", "says"),
    [(["no_such_package/data"], "no_such_package is not installed"), (["skimage/data"], "no installed package has")],
)
def test_an_absent_package_or_file_is_one_line(folders: list[str], says: str) -> None:
    changed = catalog.load_manifest("embedded_test").model_dump(mode="json")
    changed["sources"] = [{"kind": "package", "folders": folders}]
    with pytest.raises(UserError, match=f"{says}.*make setup"):
        sources.obtain(Manifest.model_validate(changed), data())


def test_without_requests_a_download_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    source = {"kind": "archive", "url": f"https://{HOST}/Toy.zip", "members": "*.png"}
    with pytest.raises(UserError, match="downloading Toy needs requests, .*: pip install requests"):
        sources.obtain(manifest(source), data())


def test_single_files_come_from_the_mirror_under_their_names(mirror: Mirror, files_set: Manifest) -> None:
    index = sources.obtain(files_set, data(mirror=mirror.url))
    assert [image.file for image in index.images] == list(PNGS) == raw()
    assert sorted(mirror.asked) == [f"/{HOST}/{stem}_HR.png" for stem in "abc"]
    assert not sources.downloads_folder().exists() or not any(sources.downloads_folder().iterdir())


def test_what_is_here_and_right_is_not_fetched_again(mirror: Mirror, files_set: Manifest) -> None:
    sources.obtain(files_set, data(mirror=mirror.url))
    mirror.asked.clear()
    sources.obtain(files_set, data(mirror=mirror.url))
    assert mirror.asked == []


@pytest.mark.parametrize("damage", [b"", b"damaged"])
def test_only_what_is_damaged_is_fetched_again(
    damage: bytes, mirror: Mirror, files_set: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    sources.obtain(files_set, data(mirror=mirror.url))
    mirror.asked.clear()
    Path("data/raw/Toy/b.png").write_bytes(damage)
    assert len(sources.obtain(files_set, data(mirror=mirror.url)).images) == 3
    assert mirror.asked == [f"/{HOST}/b_HR.png"]
    assert "b.png was damaged" in caplog.text


def test_what_came_before_a_failure_stays(mirror: Mirror, files_set: Manifest) -> None:
    (mirror.folder / "c_HR.png").unlink()
    with pytest.raises(UserError, match=r"^Toy: http.*c_HR\.png: expected the file, got 404"):
        sources.obtain(files_set, data(mirror=mirror.url))
    (mirror.folder / "c_HR.png").write_bytes(png(2))
    here = raw()
    mirror.asked.clear()
    sources.obtain(files_set, data(mirror=mirror.url))
    assert f"/{HOST}/c_HR.png" in mirror.asked
    assert len(mirror.asked) <= 3 - len(here)
    assert raw() == list(PNGS)


def archive_set(body: bytes, **settings: Any) -> Manifest:
    source = {
        "kind": "archive",
        "url": f"https://{HOST}/sets/Toy.zip",
        "members": "*.png",
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return manifest(source, **({"numbered": {"format": "{:04d}.png", "first": 1, "last": 3}} | settings))


@pytest.fixture
def toy_zip(mirror: Mirror) -> bytes:
    body = zipped({f"Toy_HR/{number:04d}.png": png(number) for number in (1, 2, 3)} | {"Toy_HR/readme.txt": b"hi"})
    (mirror.folder / "sets").mkdir()
    (mirror.folder / "sets" / "Toy.zip").write_bytes(body)
    return body


def test_an_archive_is_checked_unpacked_and_swept_away(mirror: Mirror, toy_zip: bytes) -> None:
    index = sources.obtain(archive_set(toy_zip), data(mirror=mirror.url))
    assert [image.file for image in index.images] == ["0001.png", "0002.png", "0003.png"] == raw()
    half = sources.downloads_folder() / "Other.zip.part"
    half.write_bytes(b"half")
    sources.sweep()
    assert list(sources.downloads_folder().iterdir()) == [half]


def test_an_archive_with_another_checksum_is_one_line_and_leaves_nothing(mirror: Mirror, toy_zip: bytes) -> None:
    (mirror.folder / "sets" / "Toy.zip").write_bytes(toy_zip[:-1] + b"!")
    with pytest.raises(UserError, match=r"^Toy: .*Toy\.zip: expected sha256 .*, got ") as error:
        sources.obtain(archive_set(toy_zip), data(mirror=mirror.url))
    assert "\n" not in str(error.value)
    assert raw() == []


def test_an_evil_archive_is_one_line_and_writes_nothing(mirror: Mirror, project: Path) -> None:
    body = zipped({"0001.png": b"1", "../evil.png": b"2"})
    (mirror.folder / "sets").mkdir()
    (mirror.folder / "sets" / "Toy.zip").write_bytes(body)
    with pytest.raises(UserError, match=r"Toy: .*\.\./evil\.png: its path leads out of the folder"):
        sources.obtain(archive_set(body), data(mirror=mirror.url))
    assert not list(project.rglob("evil*"))
    assert raw() == []


def test_a_login_page_instead_of_an_archive_is_one_line(mirror: Mirror, toy_zip: bytes) -> None:
    page = b"<!DOCTYPE html><title>Please log in</title>"
    (mirror.folder / "sets" / "Toy.zip").write_bytes(page)
    changed = archive_set(page).model_dump(mode="json")
    changed["sources"][0] |= {"size": None, "sha256": None}
    with pytest.raises(UserError, match="got an HTML page"):
        sources.obtain(Manifest.model_validate(changed), data(mirror=mirror.url))


def test_the_second_source_is_asked_when_the_first_fails(mirror: Mirror, files_set: Manifest) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for value, name in enumerate(("baby", "bird", "head")):  # other names, the same pixels
            body = png(value)
            info = tarfile.TarInfo(f"benchmark/Toy/HR/{name}.png")
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    (mirror.folder / "benchmark.tar").write_bytes(made.getvalue())
    changed = files_set.model_dump(mode="json")
    changed["sources"][0]["url"] = f"https://{HOST}/gone/"
    changed["sources"].append({"kind": "archive", "url": f"https://{HOST}/benchmark.tar", "members": "*/Toy/HR/*"})
    from blindsr.acquisition.inspection import pixel_hash

    for file in PNGS:
        (Path("p.png")).write_bytes((mirror.folder / f"{Path(file).stem}_HR.png").read_bytes())
        changed["files"][file]["pixels"] = pixel_hash(Path("p.png"))
    index = sources.obtain(Manifest.model_validate(changed), data(mirror=mirror.url))
    assert [(image.name, image.file) for image in index.images] == [
        ("a", "baby.png"),
        ("b", "bird.png"),
        ("c", "head.png"),
    ]


def test_offline_asks_no_host(mirror: Mirror, files_set: Manifest) -> None:
    with pytest.raises(UserError, match=r"Toy: offline, so http://127.*is not asked: set data\.offline to false"):
        sources.obtain(files_set, data(mirror=mirror.url, offline=True))
    assert mirror.asked == []


def test_a_folder_of_the_users_own_is_used_in_place(project: Path) -> None:
    own = project / "elsewhere"
    own.mkdir()
    write_png(own / "x.png", np.zeros((8, 8, 3), np.uint8))
    index = sources.obtain(manifest({"kind": "user", "help": "h"}), data(roots={"Toy": own}))
    assert [image.file for image in index.images] == ["x.png"]
    assert not (project / "data" / "raw").exists()


def test_weights_may_be_one_file_of_any_name(project: Path) -> None:
    (project / "trunk.pth").write_bytes(b"weights")
    index = sources.obtain(catalog.load_manifest("lpips_alexnet"), data(roots={"lpips_alexnet": "trunk.pth"}))
    assert [image.file for image in index.images] == ["trunk.pth"]


def test_a_set_that_only_the_user_can_get_says_how() -> None:
    toy = manifest({"kind": "user", "help": "ask the authors at example.org"})
    with pytest.raises(UserError, match=r"ask the authors at example.org, then set data\.roots\.Toy"):
        sources.obtain(toy, data())


def eights(folder: Path) -> Path:
    folder.mkdir()
    for number in range(1201, 1301):
        write_png(folder / f"{number}.png", np.full((17, 24, 3), number % 256, np.uint8))
    return folder


def test_test2k_is_made_from_the_users_div8k(project: Path) -> None:
    root = eights(project / "DIV8K")
    index = sources.obtain(catalog.load_manifest("Test2k"), data(roots={"DIV8K": root}))
    assert len(index.images) == 100
    assert (index.images[0].file, index.images[0].width, index.images[0].height) == ("1201.png", 6, 4)
    made = images.read_rgb(project / "data" / "raw" / "Test2k" / "1201.png")
    whole = images.read_rgb(root / "1201.png")
    np.testing.assert_array_equal(made, images.bicubic_downscale(images.mod_crop(whole, 4), 4))


def test_without_div8k_test2k_says_both_ways() -> None:
    with pytest.raises(UserError, match=r"Test2k can be made from DIV8K: .*data\.roots\.DIV8K.*get Test2K from"):
        sources.obtain(catalog.load_manifest("Test2k"), data())
