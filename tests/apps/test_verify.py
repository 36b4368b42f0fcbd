"""`blindsr verify`: damage of every kind is found, taken out and mended; what is only another version stays."""

import json
import re
import shutil
from pathlib import Path

import pytest

from blindsr.apps import verify
from blindsr.data.patch_store import INDEX, SUMS, write_index
from blindsr.runtime import paths, recorded
from blindsr.runtime.errors import UserError
from tests import integrity, integrity_project

RUN = integrity_project.RUNS[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with integrity.within(folder):
        integrity_project.make()
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a project as DVC leaves it, in which nothing is damaged."""
    for name in ("DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def flip(*files: Path) -> None:
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)


def sums() -> list[int]:
    return list(json.loads((paths.PATCHES / SUMS).read_text())["images"])


def cached(path: Path) -> Path:
    md5 = recorded.md5(path)
    return integrity_project.CACHE / md5[:2] / md5[2:]


def test_nothing_is_said_of_a_whole_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify.run()
    assert re.search(r"all is whole: \d+ objects in the cache, 12 outputs, 8 files of state", capsys.readouterr().out)
    verify.run(quick=True)
    assert capsys.readouterr().out == ""


def test_damage_is_never_used_and_never_left(project: Path) -> None:
    """The rounds that `python -m tests.integrity` has more of."""
    count = integrity.rounds(30, seed=1)
    assert not count.silent, "\n".join(count.silent)
    assert {"right bytes", "one line"} <= set(count.ends)


@pytest.mark.parametrize("quick", [True, False])
def test_a_workspace_file_comes_back_from_the_cache(
    project: Path, capsys: pytest.CaptureFixture[str], quick: bool
) -> None:
    path = integrity_project.weights(RUN)
    right = path.read_bytes()
    flip(path)
    if quick:
        verify.run(quick=True)
    else:
        with pytest.raises(UserError, match=r"1 damaged \(named above\): `dvc pull` or `dvc repro`"):
            verify.run()
    assert f"damaged: {path}: moved to" in capsys.readouterr().out
    assert path.read_bytes() == right
    assert (project / ".train_state" / "damaged" / path).read_bytes() != right
    verify.run()


def test_what_is_damaged_in_both_places_is_taken_out_of_both(project: Path) -> None:
    """As with a hard link: else `dvc repro` checks the damaged file out again, under its old hash."""
    path = integrity_project.weights(RUN)
    copy = cached(path)
    path.unlink()
    path.hardlink_to(copy)
    flip(path)
    verify.run(quick=True)
    assert not path.exists()
    assert not copy.exists()
    verify.run()


@pytest.mark.parametrize("kind", ["file", "folder", "raw"])
def test_what_is_damaged_in_the_cache_alone_comes_back_from_the_workspace(project: Path, kind: str) -> None:
    """DVC runs a stage again whose output is whole in the workspace and not in the cache."""
    path = {
        "file": integrity_project.weights(RUN),
        "folder": paths.ANALYSIS / RUN / "cost.csv",
        "raw": paths.RAW / "Toy" / "a.png",
    }[kind]
    out = paths.RAW if kind == "raw" else path.parent
    listing = recorded.digest(out)
    copies = [cached(path), *([] if kind == "file" else [integrity_project.CACHE / listing[:2] / listing[2:]])]
    right = [copy.read_bytes() for copy in copies]
    flip(*copies)
    verify.run(quick=True)
    assert [copy.read_bytes() for copy in copies] == right
    verify.run()


def test_a_file_that_shares_its_bytes_with_the_cache_gets_its_own(project: Path) -> None:
    """So an existing clone moves over to cache.type copy without computing or pulling anything."""
    for path, link in ((integrity_project.weights(RUN), "hardlink_to"), (paths.RAW / "Toy" / "a.png", "symlink_to")):
        copy = cached(path).resolve()
        path.unlink()
        getattr(path, link)(copy)
        verify.run()
        assert not path.is_symlink()
        assert path.stat().st_nlink == copy.stat().st_nlink == 1
        assert path.read_bytes() == copy.read_bytes()


def test_what_the_cache_knows_by_another_lock_stays(project: Path) -> None:
    """After a `git pull` dvc.lock is newer than the workspace, and nothing there is damaged."""
    path = integrity_project.weights(RUN)
    recorded.LOCK.write_text(recorded.LOCK.read_text().replace(recorded.md5(path), "f" * 32))
    before = path.read_bytes()
    verify.run(quick=True)
    with pytest.raises(UserError):
        verify.run()
    assert path.read_bytes() == before


def test_what_was_made_by_hand_or_is_accepted_stays(project: Path) -> None:
    by_hand, accepted = (integrity_project.weights(run) for run in integrity_project.RUNS)
    by_hand.write_text("made by hand")
    recorded.note(by_hand)
    accepted.write_text("averaged")
    write_index(paths.PATCHES, json.loads((paths.PATCHES / INDEX).read_text()) | {"step": 8}, sums())
    verify.run(accepted=accepted)
    verify.run(quick=True)
    with pytest.raises(UserError, match="1 damaged"):  # the patches, which are whole, and not those of dvc.lock
        verify.run()
    assert json.loads((paths.PATCHES / INDEX).read_text())["step"] == 8
    assert (by_hand.read_text(), accepted.read_text()) == ("made by hand", "averaged")
    with pytest.raises(UserError, match="models/typo is not there"):
        verify.run(accepted=Path("models/typo"))


def test_a_stray_file_is_named_and_left(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stray = paths.ANALYSIS / RUN / "notes.txt"
    stray.write_text("mine")
    with pytest.raises(UserError):
        verify.run()
    assert f"{stray} is none of the pipeline's files: move it away" in capsys.readouterr().out
    assert stray.read_text() == "mine"


def test_a_folder_without_a_project_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="holds nothing to verify: run this in the folder of a project"):
        verify.run()
