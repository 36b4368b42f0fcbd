"""Sets that are fetched again: whole or not there, and the same as the first time."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blindsr.acquisition import sources
from blindsr.acquisition.catalog import Manifest
from blindsr.runtime import files
from blindsr.runtime.errors import UserError
from mirror import HOST, Mirror, data, manifest, png, raw, zipped

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def unlisted(mirror: Mirror) -> Manifest:
    """A set of 12 images in an archive; the manifest has its MD5, and says nothing of its files."""
    body = zipped({f"x/{number:02d}.png": png(number) for number in range(12)} | {"__MACOSX/x/._00.png": b"no"})
    (mirror.folder / "Toy.zip").write_bytes(body)
    md5 = hashlib.md5(body).hexdigest()
    return manifest({"kind": "archive", "url": f"https://{HOST}/Toy.zip", "members": "*.png", "md5": md5})


class Killed(BaseException): ...


def test_a_set_that_no_manifest_lists_is_whole_or_not_there(
    mirror: Mirror, unlisted: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = files.atomic, []

    @contextlib.contextmanager
    def killed(path: Path) -> Iterator[Any]:
        written.append(path)
        if len(written) == 6:
            raise Killed
        with whole(path) as file:
            yield file

    monkeypatch.setattr(files, "atomic", killed)
    with pytest.raises(Killed):
        sources.obtain(unlisted, data(mirror=mirror.url))
    monkeypatch.setattr(files, "atomic", whole)
    assert raw() == []
    assert len(list(Path("data/raw").rglob("*.png"))) == 4  # the first write was that of the archive's SHA-256
    index = sources.obtain(unlisted, data(mirror=mirror.url))
    assert len(index.images) == len(raw()) == 12
    Path("data/raw/.Other.unpacking").mkdir()
    sources.sweep()
    assert [path.name for path in Path("data/raw").iterdir()] == ["Toy"]


@pytest.mark.parametrize("count", [None, 12])
def test_what_is_missing_of_a_set_that_no_manifest_lists_is_fetched_again(
    mirror: Mirror, unlisted: Manifest, count: int | None
) -> None:
    unlisted = unlisted.model_copy(update={"count": count})
    sources.obtain(unlisted, data(mirror=mirror.url))
    sources.sweep()
    mirror.asked.clear()
    assert len(sources.obtain(unlisted, data(mirror=mirror.url, offline=True)).images) == 12
    assert mirror.asked == []
    for number in range(5):
        Path(f"data/raw/Toy/{number:02d}.png").unlink()
    Path("data/raw/Toy/of another release.png").write_bytes(png(99))
    with pytest.raises(UserError, match=r"offline.*; if the 8 images in data/raw/Toy are all of it, set data\.roots"):
        sources.obtain(unlisted, data(mirror=mirror.url, offline=True))
    assert len(sources.obtain(unlisted, data(mirror=mirror.url)).images) == len(raw()) == 12
    assert "of another release.png" not in raw()


def test_a_part_that_an_earlier_version_left_is_not_the_set(mirror: Mirror, unlisted: Manifest) -> None:
    Path("data/raw/Toy").mkdir(parents=True)
    Path("data/raw/Toy/00.png").write_bytes(png(0))
    assert len(sources.obtain(unlisted, data(mirror=mirror.url)).images) == 12


def test_archives_of_one_name_do_not_share_a_download(mirror: Mirror) -> None:
    for folder, count in (("one", 2), ("two", 3)):
        (mirror.folder / folder).mkdir()
        body = zipped({f"{number}.png": png(number) for number in range(count)})
        (mirror.folder / folder / "test.zip").write_bytes(body)
        source = {"kind": "archive", "url": f"https://{HOST}/{folder}/test.zip", "members": "*.png"}
        assert len(sources.obtain(manifest(source, name=folder), data(mirror=mirror.url)).images) == count


def test_an_archive_is_the_one_of_the_first_fetch(mirror: Mirror, unlisted: Manifest) -> None:
    """MD5 can be forged, so the SHA-256 of the first time counts."""
    changed = unlisted.sources[0].model_copy(update={"md5": None})
    unlisted = unlisted.model_copy(update={"sources": [changed]})
    first = sources.obtain(unlisted, data(mirror=mirror.url))
    kept = Path("data/fetched.json").read_text()
    assert hashlib.sha256((mirror.folder / "Toy.zip").read_bytes()).hexdigest() in kept
    (mirror.folder / "Toy.zip").write_bytes(zipped({f"{number:02d}.png": png(50 + number) for number in range(12)}))
    for place in (*Path("data/raw/Toy").iterdir(), *sources.downloads_folder().glob("*.zip")):
        place.unlink()
    with pytest.raises(UserError, match=r"expected sha256 .*of the first fetch: .*delete it in data/fetched\.json"):
        sources.obtain(unlisted, data(mirror=mirror.url))
    Path("data/fetched.json").unlink()
    assert sources.obtain(unlisted, data(mirror=mirror.url)).images != first.images
    assert Path("data/fetched.json").read_text() != kept


def test_single_files_without_a_hash_are_those_of_the_first_fetch(mirror: Mirror) -> None:
    (mirror.folder / "a.png").write_bytes(png(1))
    toy = manifest({"kind": "files", "url": f"https://{HOST}/"}, files={"a.png": {}})
    sources.obtain(toy, data(mirror=mirror.url))
    Path("data/raw/Toy/a.png").unlink()
    sources.obtain(toy, data(mirror=mirror.url))
    Path("data/raw/Toy/a.png").unlink()
    (mirror.folder / "a.png").write_bytes(png(2))
    with pytest.raises(UserError, match="of the first fetch"):
        sources.obtain(toy, data(mirror=mirror.url))
