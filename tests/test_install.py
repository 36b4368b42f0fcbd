"""The package as people install it: what it needs, what is in the wheel, and that its commands work elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import blindsr
from blindsr.data.images import write_png

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def required(*lines: str) -> dict[str, Requirement]:
    """Requirements by their name, without the package's own extras."""
    found = (Requirement(line) for line in lines)
    return {canonicalize_name(each.name): each for each in found if each.name != "blindsr"}


def pins(file: str) -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines())
    found = (line.partition("==") for line in lines if "==" in line)
    return {canonicalize_name(name.partition("[")[0]): version for name, _, version in found}


CORE = required(*PROJECT["dependencies"])


@pytest.mark.parametrize(
    ("file", "needs"),
    [
        ("requirements.txt", CORE | required(*EXTRAS["pipeline"], *EXTRAS["slurm"])),
        ("requirements-dev.txt", required(*EXTRAS["dev"], *EXTRAS["spandrel"], *EXTRAS["onnx"])),
    ],
)
def test_pins_are_of_what_the_package_needs(file: str, needs: dict[str, Requirement]) -> None:
    pinned = pins(file)
    assert pinned.keys() == needs.keys()
    for name, version in pinned.items():
        assert needs[name].specifier.contains(version), f"{name}=={version} is not within {needs[name]}"


def test_every_pin_is_that_of_the_constraints() -> None:
    constraints = pins("constraints.txt")
    for file in ("requirements.txt", "requirements-dev.txt"):
        assert pins(file).items() <= constraints.items()


def test_the_lean_requirements_are_those_of_the_project_without_what_is_absent() -> None:
    lean, all_of_them = pins("requirements-lean.txt"), pins("requirements.txt") | pins("requirements-dev.txt")
    assert lean.items() <= all_of_them.items()
    left_out = {"dvc", "dvc-s3", "mlflow", "scikit-learn", "submitit", "spandrel", "onnx", "onnxruntime", "requests"}
    assert all_of_them.keys() - lean.keys() >= left_out | {"torch"}
    assert lean.keys() >= CORE.keys() - {"torch", "requests"}


LOCKS = ("requirements.lock", "requirements-cuda.lock", "requirements-dev.lock")


def locked(file: str) -> dict[str, tuple[str, list[str]]]:
    """Name -> its version and hashes."""
    text = (ROOT / file).read_text(encoding="utf-8")
    entries = re.findall(r"^([\w.-]+)==([\w.+-]+)[^\n]*\n((?:    --hash=.*\n)+)", text, re.MULTILINE)
    return {canonicalize_name(name): (version, re.findall(r"sha256:(\w+)", rest)) for name, version, rest in entries}


def test_locks_have_the_pins_with_their_hashes() -> None:
    own, cuda, dev = map(locked, LOCKS)
    constraints = pins("constraints.txt")
    versions = {name: version for lock in (own, dev) for name, (version, _) in lock.items()}
    assert versions.items() >= constraints.items()
    assert own.keys() >= pins("requirements.txt").keys()
    assert own.keys() | dev.keys() >= pins("requirements-dev.txt").keys()
    assert not own.keys() & (cuda.keys() | dev.keys())
    assert {name.partition("-")[0] for name in cuda} == {"nvidia", "cuda", "triton"}
    for _, hashes in [*own.values(), *cuda.values(), *dev.values()]:
        assert hashes
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in hashes)


def test_locks_hold_pins_and_hashes_alone() -> None:
    """No address of an index, and nothing without a hash: one such line would switch the check off for it."""
    for file in LOCKS:
        entry = re.compile(r"[\w.-]+==[\w.+-]+( ; [^\n\\]+)? \\\n(    --hash=sha256:\w{64}( \\)?\n)+|#.*\n")
        text = (ROOT / file).read_text(encoding="utf-8").replace("-r requirements.lock\n", "")
        assert re.fullmatch(f"({entry.pattern})+", text), file


def test_a_lock_takes_both_kinds_of_torch() -> None:
    lock = importlib.util.spec_from_file_location("lock", ROOT / ".ci" / "lock.py")
    assert lock is not None
    assert lock.loader is not None
    module = importlib.util.module_from_spec(lock)
    lock.loader.exec_module(module)
    line = '<a href="/whl/cpu/torch-{}-cp311-cp311-linux.whl#sha256={}">'
    page = "".join(line.format(*each) for each in [("2.13.0%2Bcpu", "a" * 64), ("2.13.1%2Bcpu", "b" * 64)])
    assert module.cpu_hashes(page, "2.13.0") == ["a" * 64]
    block = f"torch==2.13.0 \\\n    --hash=sha256:{'c' * 64}\n"
    both = f"torch==2.13.0 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'c' * 64}\n"
    assert module.with_hashes(block, ["a" * 64]) == both


def test_workflows_pin_actions_and_may_only_read() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        uses = re.findall(r"uses: (.*)", text)
        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", each) for each in uses), uses
        assert re.search(r"^permissions:\n  contents: read$", text, re.MULTILINE)


def test_versions_agree() -> None:
    assert PROJECT["version"] == blindsr.__version__


@pytest.mark.slow
def test_a_wheel_is_enough_away_from_the_project(tmp_path: Path) -> None:
    """Built offline, and installed without its dependencies into a folder beside this environment's packages."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = tmp_path / "source"
    source.mkdir()
    for name in ("src", "pyproject.toml", "README.md", "LICENSE"):  # a build leaves files beside what it reads
        (source / name).symlink_to(ROOT / name) if name != "src" else _copy(ROOT / name, source / name)
    built = ["wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run([*pip, *built], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("blindsr-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in (ROOT / "src" / "blindsr").rglob("*"):
        if file.is_file() and file.suffix != ".pyc":
            assert file.relative_to(ROOT / "src").as_posix() in names
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)

    work = tmp_path / "work"
    (work / "photos").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    write_png(work / "photos" / "a.png", pixels)
    variables = {**os.environ, "PYTHONPATH": str(site)}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=work, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = run(sys.executable, "-c", "import blindsr; print(blindsr.__file__)")
    assert Path(place.strip()).is_relative_to(site)
    version = f"blindsr {blindsr.__version__}\n"
    assert run(str(site / "bin" / "blindsr"), "--version") == version
    python = [sys.executable, "-m", "blindsr"]
    assert run(*python, "--version") == version
    scored = run(*python, "score", "photos", "--model", "bicubic", "--cases", "clean", "--device", "cpu")
    assert re.search(r"psnr|PSNR", scored)
    run(*python, "suite", "photos", "lr", "--cases", "b+n+j")
    run(*python, "upscale", "photos/a.png", "--model", "bilinear", "--out", "big.png", "--device", "cpu")
    assert (work / "lr" / "b+n+j" / "a.png").is_file()
    assert (work / "big.png").is_file()


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
