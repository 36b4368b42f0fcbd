"""`blindsr verify` before DVC itself: what was cut or damaged is back, and nothing is computed that is there."""

import re
import subprocess
import sys
from pathlib import Path

from blindsr.apps import verify
from blindsr.runtime import recorded


def repro() -> str:
    command = [sys.executable, "-m", "dvc", "repro"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert not done.returncode, done.stdout
    return done.stdout


def outputs(project: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (project / "out").iterdir() if path.suffix != ".started"}


def test_a_cut_lock_and_a_damaged_cache(project: Path) -> None:
    stand_in = Path("stand_in.py")
    stand_in.write_text(stand_in.read_text().replace('write_text("made")', "write_text(stage + run)"))
    Path("how").write_text("")
    repro()
    right, lock = outputs(project), recorded.LOCK.read_text()
    assert len(right) == 6
    recorded.LOCK.write_text(lock[: len(lock) * 2 // 3])  # no git here: the rest comes from DVC's run cache
    verify.run(quick=True)
    again = repro()
    ran = re.findall("Running stage '(.*)'", again)
    assert set(ran) <= {"patches", "degrade"}  # the stand-ins without deps, which the run cache does not take
    assert "is cached - skipping run" in again
    assert outputs(project) == right
    weights = Path("out/train-srresnet-rff-0")
    copy = Path(".dvc/cache/files/md5") / recorded.md5(weights)[:2] / recorded.md5(weights)[2:]
    weights.unlink()
    weights.hardlink_to(copy)
    copy.chmod(0o644)
    copy.write_bytes(copy.read_bytes()[:-1] + b"\xb0")
    copy.chmod(0o444)
    other = recorded.md5(Path("out/train-srresnet-none-0"))
    damaged = Path(".dvc/cache/files/md5") / other[:2] / other[2:]  # whose copy in the workspace is whole
    damaged.unlink()
    damaged.write_bytes(b"damaged")
    verify.run(quick=True)
    assert not copy.exists()
    again = repro()
    assert re.findall("Running stage '(.*)'", again) == ["train@srresnet-rff-0"]
    assert outputs(project) == right


def test_cache_settings_are_those_of_dvc(project: Path) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "cache", "dir", "../elsewhere"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "config", "cache.type", "hardlink,copy"], check=True)
    cache = verify.Cache()
    where = cache.object("a" * 32).resolve()
    assert where == project.parent / "elsewhere" / "files" / "md5" / "aa" / ("a" * 30)
    assert cache.linked
