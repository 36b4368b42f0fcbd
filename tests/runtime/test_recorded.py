"""Records of outputs: DVC's hashes, what was made by hand, and what is refused."""

import os
from pathlib import Path

import pytest

from blindsr.runtime import recorded
from blindsr.runtime.errors import UserError

WEIGHTS = Path("models/a.safetensors")
# MD5 of "abc", and of the listing of a folder that holds it as x, worked out by `md5sum`
ABC = "900150983cd24fb0d6963f7d28e17f72"
LOCK = f"""schema: '2.0'
stages:
  train@a:
    cmd: blindsr train a
    deps:
    - path: data/patches
      hash: md5
      md5: {"0" * 32}.dir
    outs:
    - path: models/a.safetensors
      hash: md5
      md5: {ABC}
      size: 3
    - path: reports/curves/a.csv
      hash: md5
      md5: {ABC}
      size: 3
  analyse@a:
    cmd: blindsr analyse a
    outs:
    - path: reports/analysis/a
      hash: md5
      md5: DIR
      size: 3
      nfiles: 1
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    for path in (WEIGHTS, Path("reports/curves/a.csv"), Path("reports/analysis/a/x.csv")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("abc")
    recorded.LOCK.write_text(LOCK.replace("DIR", recorded.digest(Path("reports/analysis/a"))))
    return tmp_path


def test_outputs_of_a_lock_with_their_stages(project: Path) -> None:
    found = recorded.outs()
    assert list(found) == ["models/a.safetensors", "reports/curves/a.csv", "reports/analysis/a"]
    assert found["models/a.safetensors"] == ("models/a.safetensors", "train@a", ABC)


@pytest.mark.needs("dvc")
def test_a_folder_has_the_hash_that_dvc_gives_it(tmp_path: Path) -> None:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for name in ("b/ü.csv", "a.csv", "a/z.csv", "a-.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("abc")
        tree.add(tuple(name.split("/")), None, HashInfo("md5", ABC))
    tree.digest()
    assert recorded.digest(tmp_path) == tree.hash_info.value


def test_what_is_as_recorded_or_recorded_nowhere_is_taken(project: Path) -> None:
    Path("models/b.safetensors").write_text("another")
    for path in (WEIGHTS, project / WEIGHTS, Path("reports/analysis/a/x.csv"), Path("models/b.safetensors")):
        recorded.require(path)
    recorded.require(Path("models/absent"))
    recorded.require(Path("/elsewhere/models/a.safetensors"))
    recorded.LOCK.unlink()
    WEIGHTS.write_text("other")
    recorded.require(WEIGHTS)


def test_what_is_not_as_recorded_is_one_line_with_the_way_out(project: Path) -> None:
    WEIGHTS.write_text("abd")
    for path in (WEIGHTS, project / WEIGHTS):
        with pytest.raises(UserError, match=r"a\.safetensors is not what train@a made: `blindsr verify`.*`dvc pull`"):
            recorded.require(path)
    Path("reports/analysis/a/x.csv").write_text("")
    with pytest.raises(UserError, match="reports/analysis/a is not what analyse@a made"):
        recorded.require(Path("reports/analysis/a/y.csv"))


def test_what_is_made_by_hand_is_noted_and_under_dvc_it_is_not(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WEIGHTS.write_text("by hand")
    monkeypatch.setenv("DVC_STAGE", "train@a")
    recorded.note(WEIGHTS)
    with pytest.raises(UserError):
        recorded.require(WEIGHTS)
    monkeypatch.delenv("DVC_STAGE")
    recorded.note(WEIGHTS, Path("absent"))
    recorded.require(WEIGHTS)
    WEIGHTS.write_text("by hanc")
    with pytest.raises(UserError):
        recorded.require(WEIGHTS)


def test_a_lock_with_a_byte_that_is_no_utf8_is_one_line(project: Path) -> None:
    recorded.LOCK.write_bytes(LOCK.encode().replace(b"blindsr train", b"blindsr tr\xafin"))
    os.utime(recorded.LOCK, (1, 1))
    with pytest.raises(UserError, match=r"dvc\.lock is damaged: run `blindsr verify`"):
        recorded.outs()


@pytest.mark.parametrize("cut", [LOCK.index(ABC) + 10, LOCK.index("outs:\n    - path: rep") + 15])
def test_a_lock_that_is_cut_off_is_one_line(project: Path, cut: int) -> None:
    recorded.LOCK.write_text(LOCK[:cut])
    os.utime(recorded.LOCK, (1, 1))  # nobody writes it any more
    with pytest.raises(UserError, match=r"dvc\.lock is damaged: run `blindsr verify`"):
        recorded.require(WEIGHTS)
