"""Checkpoints: atomic, hashed, the last two kept."""

import errno
import hashlib
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from blindsr.runtime import files
from blindsr.runtime.errors import UserError
from blindsr.training import checkpoint


def state(iteration: int) -> dict[str, object]:
    return {"iteration": iteration, "weights": torch.full((3,), float(iteration)), "curve": [{"l1": 0.5}]}


def test_the_newest_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path) is None
    for iteration in (200, 400, 1000):
        checkpoint.save(tmp_path, iteration, state(iteration))
    newest = checkpoint.latest(tmp_path)
    assert newest is not None
    assert newest["iteration"] == 1000
    assert newest["curve"] == [{"l1": 0.5}]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_state_is_passed_over_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for iteration in (200, 400):
        checkpoint.save(tmp_path, iteration, state(iteration))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found["iteration"] == 200
    assert "is damaged" in caplog.text


def test_a_state_half_written_is_not_seen(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 200, state(200))
    half = tmp_path / ".000000400-0000000000000000.pt.x"
    half.write_bytes(b"half")
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found["iteration"] == 200
    assert not half.exists()


def test_a_full_disk_keeps_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, 200, state(200))

    def full(path: Path, content: bytes) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(files, "write_atomic", full)
    with pytest.raises(UserError):
        checkpoint.save(tmp_path, 400, state(400))
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found["iteration"] == 200


def test_code_in_a_state_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("run",))

    checkpoint.save(tmp_path, 1, {"x": Evil()})
    with pytest.raises(Exception, match="[Ww]eights"):
        checkpoint.latest(tmp_path)


def fill(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """A disk on which so many more files can be written; one that is removed makes room for another."""
    write, unlink, left = files.write_atomic, Path.unlink, [after]

    def writing(path: Path, content: bytes | str) -> None:
        if not left[0]:
            raise files.problem(path, OSError(errno.ENOSPC, "No space left on device"))
        left[0] -= 1
        write(path, content)

    def removing(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        left[0] += 1

    monkeypatch.setattr(files, "write_atomic", writing)
    monkeypatch.setattr(Path, "unlink", removing)


def test_a_full_disk_costs_the_older_state_and_never_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(monkeypatch, after=2)
    for iteration in (3, 6, 9, 12):
        checkpoint.save(tmp_path, iteration, {"iteration": iteration})
        assert checkpoint.newest_iteration(tmp_path) == iteration
    assert sorted(path.name[:9] for path in tmp_path.iterdir()) == ["000000009", "000000012"]


def test_what_a_full_disk_leaves_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(monkeypatch, after=0)
    with pytest.raises(UserError, match="the disk is full: .* again; the same command begins anew$"):
        checkpoint.save(tmp_path, 3, {"iteration": 3})
    monkeypatch.undo()
    checkpoint.save(tmp_path, 6, {"iteration": 6})
    fill(monkeypatch, after=0)
    with pytest.raises(UserError, match="the disk is full: .* again; the same command resumes from iteration 6$"):
        checkpoint.save(tmp_path, 9, {"iteration": 9})


def test_room_for_two_states_is_wanted_before_the_first_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=150 * 2**20))
    with pytest.raises(UserError, match="200 MiB more are needed, 150 MiB are free: free space"):
        checkpoint.require_room(tmp_path / "states", 100 * 2**20)
    checkpoint.save(tmp_path / "states", 3, {"iteration": 3})  # is there already, and will be replaced
    checkpoint.require_room(tmp_path / "states", 100 * 2**20)


def test_states_go_when_dvc_has_what_was_made_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    made = [tmp_path / "weights", tmp_path / "curve"]
    for path in made:
        path.write_text(path.name)
    ended, running, mine = (tmp_path / name for name in ("ended", "running", "mine"))
    for folder in (ended, running, mine):
        for iteration in (3, 6):
            checkpoint.save(folder, iteration, {"iteration": iteration})
    for folder in (ended, mine):
        checkpoint.finish(folder, made)
        assert sorted(path.name[:9] for path in folder.iterdir()) == ["000000006", "made.json"]
    cache = tmp_path / "elsewhere" / "files" / "md5"
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    autostage = true\n[cache]\n    dir = ../elsewhere\n")
    for path, gone in zip(made, (False, True), strict=True):
        name = hashlib.md5(path.read_bytes()).hexdigest()
        (cache / name[:2]).mkdir(parents=True)
        (cache / name[:2] / name[2:]).touch()
        checkpoint.sweep_others(mine)
        assert ended.exists() is not gone
    assert running.exists()
    assert mine.exists()  # its own folder is another question: whether it is to be made once more
    checkpoint.sweep(mine)
    assert not mine.exists()


def test_the_state_of_a_run_that_another_process_holds_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blindsr.runtime.committed.is_seen", lambda record: True)
    checkpoint.save(tmp_path / "a", 3, {"iteration": 3})
    checkpoint.finish(tmp_path / "a", [])
    with checkpoint.lock(tmp_path / "a"):
        checkpoint.sweep_others(tmp_path / "b")
        assert (tmp_path / "a").exists()
    checkpoint.sweep_others(tmp_path / "b")
    assert not (tmp_path / "a").exists()
