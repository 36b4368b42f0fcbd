"""A dvc.lock that a kill left cut off: whole stages stay, git has the others, and nothing is lost."""

import subprocess
from pathlib import Path

import pytest
import yaml

from blindsr.apps import lock_file
from blindsr.runtime.errors import UserError
from blindsr.runtime.recorded import LOCK


def stage(name: str, digit: str) -> str:
    md5 = digit * 32
    dep = f"    - path: data/index\n      hash: md5\n      md5: {md5}.dir\n      size: 1\n      nfiles: 1\n"
    out = f"    - path: models/{name}\n      hash: md5\n      md5: {md5}\n      size: 9\n"
    return f"  {name}:\n    cmd: blindsr {name}\n    deps:\n{dep}    outs:\n{out}"


HEAD = "schema: '2.0'\nstages:\n"
OLD = HEAD + stage("fetch", "a") + stage("train@a-b-0", "b") + stage("report", "c")
NEW = HEAD + stage("fetch", "a") + stage("train@a-b-0", "d") + stage("report", "e")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose commit has OLD."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    LOCK.write_text(OLD)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "dvc.lock"], [*author, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *command], check=True)
    LOCK.write_text(NEW)
    return tmp_path


def outs() -> dict[str, str]:
    read = yaml.safe_load(LOCK.read_text())
    return {name: entry["outs"][0]["md5"][0] for name, entry in read["stages"].items()}


def test_a_whole_lock_stays_as_it_is(project: Path) -> None:
    assert lock_file.restore() is None
    assert LOCK.read_text() == NEW
    LOCK.unlink()
    assert lock_file.restore() is None


def test_every_cut_ends_with_whole_stages(project: Path) -> None:
    for cut in range(0, len(NEW), 9):
        LOCK.write_text(NEW[:cut])
        said = lock_file.restore()
        complete = NEW[:cut].count("\n      size: 9\n")
        for number, name in enumerate(("fetch", "train@a-b-0", "report")):
            if number < complete:
                assert outs()[name] == "ade"[number], cut
            elif said:  # but for its last line a stage may be whole
                assert outs()[name] in ("abc"[number], "ade"[number]), cut
        if said:
            assert (project / ".train_state" / "damaged" / "dvc.lock").read_text() == NEW[:cut]


@pytest.mark.parametrize("line", ["cmd: blindsr train", "md5: dddd", "path: models/train", "    outs:", "deps:"])
def test_a_damaged_stage_is_taken_from_git(project: Path, line: str) -> None:
    place = NEW.index(line, NEW.index("train@"))
    LOCK.write_text(NEW[:place] + "\x00" + NEW[place + 1 :])
    assert "2 stages of it are whole, 1 are from git" in str(lock_file.restore())
    assert outs() == {"fetch": "a", "train@a-b-0": "b", "report": "e"}


def test_a_byte_that_is_no_utf8_is_damage(project: Path) -> None:
    place = NEW.index("cmd: blindsr train") + 8
    LOCK.write_bytes(NEW[:place].encode() + b"\xaf" + NEW[place + 1 :].encode())
    assert "2 stages of it are whole, 1 are from git" in str(lock_file.restore())


def test_without_git_the_whole_stages_are_left_and_with_none_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    LOCK.write_text(NEW[:-20])
    assert "2 stages of it are whole, 0 are from git" in str(lock_file.restore())
    assert outs() == {"fetch": "a", "train@a-b-0": "d"}
    LOCK.write_text(HEAD + "  fetch:\n    cm")
    assert lock_file.restore()
    assert not LOCK.exists()


def test_conflicts_of_a_merge_are_no_damage(project: Path) -> None:
    LOCK.write_text(NEW.replace("  report:", "<<<<<<< HEAD\n  report:"))
    before = LOCK.read_bytes()
    with pytest.raises(UserError, match="conflicts of a merge"):
        lock_file.restore()
    assert LOCK.read_bytes() == before
