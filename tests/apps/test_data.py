"""`blindsr fetch --status`: verified, present, partial, missing."""

from pathlib import Path

import numpy as np
import pytest

from blindsr.acquisition import catalog, inspection, sources
from blindsr.acquisition.catalog import Manifest
from blindsr.apps import data as module
from blindsr.config.params import read
from blindsr.config.schema import DataParams
from blindsr.data.images import write_png
from blindsr.runtime import paths

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = {"kind": "archive", "url": "https://sets.example.org/Toy.zip", "members": "*"}


def toy(*sources: dict[str, str]) -> Manifest:
    return Manifest.model_validate(
        {
            "name": "Toy",
            "role": "benchmark",
            "title": "t",
            "licence": "l",
            "sources": list(sources) or [ARCHIVE],
            "files": {"a.png": {}, "b.png": {}},
        }
    )


def data(**roots: str) -> DataParams:
    return DataParams(train="x", benchmarks=["Toy"], roots=roots)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path / "data" / "raw" / "Toy"


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_png(folder / name, np.zeros((8, 8, 3), np.uint8))


def test_nothing_is_here() -> None:
    assert module.state(toy(), data()) == ("missing", toy().how_to_get)


def test_a_download_that_was_cut_off() -> None:
    Path(".downloads").mkdir()
    archive = sources.archive_of(ARCHIVE["url"])
    archive.with_name(f"{archive.name}.part").write_bytes(bytes(3 << 20))
    assert module.state(toy(), data()) == (
        "partial",
        "3 MiB downloaded so far: `dvc repro --force fetch` resumes",
    )


def test_some_files(folder: Path) -> None:
    fill(folder, "a.png")
    found = module.state(toy(), data())
    assert found.word == "partial"
    assert found.detail.startswith("1 of 2 files in data/raw/Toy: ")


def test_all_files_but_not_verified(folder: Path) -> None:
    fill(folder, "a.png", "b.png")
    assert module.state(toy(), data()).word == "present"


def test_verified_until_a_file_is_gone(folder: Path) -> None:
    fill(folder, "a.png", "b.png")
    inspection.inspect(toy(), folder).write(paths.INDEX)
    assert module.state(toy(), data()) == ("verified", "2 files in data/raw/Toy")
    (folder / "a.png").unlink()
    assert module.state(toy(), data()).word == "partial"


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    found = module.state(toy(), data(Toy="nowhere"))
    assert found == ("missing", f"data.roots.Toy is {tmp_path}/nowhere, which is not there: correct it")


def test_every_set_is_listed_with_its_use(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    module.print_status(read())
    lines = capsys.readouterr().out.splitlines()
    first = {line.split()[0]: line.split() for line in lines if line[:1].strip()}
    assert set(catalog.known_sets()) <= set(first)
    assert first["embedded_train"][1] == "train"
    assert first["embedded_test"][1] == "benchmark"
    assert first["lpips_alexnet"][1] == "lpips"
