"""Checkpoints: atomic, hashed, the last two kept."""

import logging
from pathlib import Path

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


def test_clear_removes_all(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "run", 1, state(1))
    checkpoint.clear(tmp_path / "run")
    assert not (tmp_path / "run").exists()
