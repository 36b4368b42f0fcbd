"""Attacks by endless inputs, machines, settings, bad bytes and packages: see `attacks.py`."""

import csv
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

from blindsr.acquisition import catalog, sources
from blindsr.apps import lock_file, models
from blindsr.runtime import files, memory_groups, world
from tests import committed, mirror
from tests.attack_tools import ROOT, Attacks, Given, fails, photo, refused, settings

# 11: inputs that hang or kill --------------------------------------------------------------------------------------


def endless(given: Given) -> Attacks:
    def pipe(*arguments: str) -> str | None:
        os.mkfifo("pipe.png")
        photo(Path("own/a.png"))
        os.rename("pipe.png", "own/pipe.png") if "own" in arguments else None
        return fails(*(argument.replace("PIPE", "pipe.png") for argument in arguments))

    yield "pipe as model", lambda: pipe("score", "own/a.png", "--model", "PIPE")
    yield "pipe as photo", lambda: pipe("upscale", "PIPE", "--model", "bicubic", "--out", "x.png")
    yield "pipe as folder", lambda: pipe("score", "PIPE", "--model", "bicubic")

    def model(name: str, content: bytes) -> None:
        Path(name).write_bytes(content)
        models.read(name)

    itself: list[Any] = []
    itself.append(itself)
    nested = b"\x80\x04]q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"."
    header = b'{"__metadata__":{"blindsr":"{\\"num_blocks\\": 1000000000}"}}'
    for name, content in {
        "itself.pth": pickle.dumps(itself),
        "nested.pth": nested,
        "code.pth": pickle.dumps(eval, 4),
        "header.safetensors": struct.pack("<Q", 2**40) + b"{}",
        "blocks.safetensors": struct.pack("<Q", len(header)) + header,
        "page.pth": b"<!DOCTYPE html><html></html>",
        "empty.onnx": b"",
    }.items():
        yield name, refused(lambda name=name, content=content: model(name, content))

    def members() -> None:
        with zipfile.ZipFile("many.pth", "w") as zipped:
            for number in range(20_000):
                zipped.writestr(str(number), b"")
        models.read("many.pth")

    yield "20,000 members", refused(members)


def environments(given: Given) -> Attacks:
    for left in (
        {"WORLD_SIZE": "2"}, {"RANK": "0", "WORLD_SIZE": "2"}, {"LOCAL_RANK": "0"},
        {"RANK": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, {"RANK": "5", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
    ):  # fmt: skip

        def attack(left: dict[str, str] = left) -> str | None:
            with mock.patch.dict(os.environ, left):
                return None if world.rank() == world.Rank() else "takes it for a torchrun"

        yield str(left), attack


def memory(given: Given) -> Attacks:
    """The least limit of all groups above a process is found, as SLURM, systemd and Docker nest them."""
    v2 = ("memory.max", "memory.current", "29 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw")
    v1 = (
        "memory.limit_in_bytes", "memory.usage_in_bytes",
        "36 32 0:33 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
    )  # fmt: skip
    for number in range(given.rounds):
        (limit, use, mount), own = [(v2, "0::"), (v1, "5:memory:")][number % 2]
        names = [f"g{int(part)}" for part in given.draw.integers(9, size=int(given.draw.integers(1, 6)))]
        limited = int(given.draw.integers(len(names)))
        most, used = int(given.draw.integers(2**30, 2**35)), int(given.draw.integers(2**30))

        def attack(
            limit: str = limit, use: str = use, mount: str = mount, own: str = own, names: list[str] = names,
            limited: int = limited, most: int = most, used: int = used,
        ) -> str | None:  # fmt: skip
            root = Path("root").absolute()
            files.write_atomic(root / "proc/self/cgroup", f"{own}/{'/'.join(names)}\n")
            files.write_atomic(root / "proc/self/mountinfo", f"{mount}\n")
            folder = root / mount.split()[4].lstrip("/")
            for depth, name in enumerate(names):
                folder /= name
                files.write_atomic(folder / limit, str(most if depth == limited else 2**62))
                files.write_atomic(folder / use, str(used))
            found = memory_groups.free_bytes(root)
            return None if found == most - used else f"found {found}, not {most - used}"

        yield f"{own} {names}", attack


# 12: settings ------------------------------------------------------------------------------------------------------


def wrong_settings(given: Given) -> Attacks:
    """Values that no one means, in every setting that is a number, a name or a list."""
    own = ("backbone.hyper.srresnet", "reg", "data", "train", "suite", "evaluate", "analyse", "patches", "runtime")
    leaves = [leaf for leaf in _leaves(committed.settings()) if leaf[0].startswith(own)]
    odd = [float("nan"), float("inf"), -1, "", [], [None], {"x": 1}, "../x", 10**40, True, "\0", [[]], "$HOME"]
    for _ in range(given.rounds):
        key, old = leaves[int(given.draw.integers(len(leaves)))]
        value = odd[int(given.draw.integers(len(odd)))]
        fits = old is None or (isinstance(value, type(old)) and not isinstance(value, float))
        if fits or isinstance(old, bool) or key in ("data.roots", "train.loss_settings"):
            continue  # which may be right
        yield f"{key}={value!r}"[:80], refused(lambda key=key, value=value: settings({key: value}))


def _leaves(block: Any, prefix: str = "") -> Any:
    for key, value in block.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


# 13: tracebacks ----------------------------------------------------------------------------------------------------


def bad_bytes(given: Given) -> Attacks:
    """Bytes that are no UTF-8, and cuts, in the texts that a person or a stage has written."""
    texts = {
        "params.yaml": lambda: fails("evaluate", "bicubic"),
        "data/manifests/Set5.yaml": lambda: fails("fetch", "--status"),
        "conf/config.yaml": lambda: fails("params"),
        "conf/backbone/rrdb.yaml": lambda: fails("grid", "--plan"),
        "dvc.lock": _lock,
        "scores.csv": lambda: fails("score", "scores.csv", "--against", "scores.csv"),
        "reports/gallery/index.json": _gallery,
        "data/fetched.json": lambda: sources.obtain(catalog.load_manifest("NTIRE2018_wild"), mirror.data()),
        "data/index/Set5.json": lambda: fails("degrade"),
    }
    for number in range(given.rounds):
        path = list(texts)[number % len(texts)]
        use = texts[path]
        place, byte = int(given.draw.integers(2**31)), int(given.draw.integers(0x80, 0xC0))

        def attack(path: str = path, use: Any = use, place: int = place, byte: int = byte) -> str | None:
            for name in ("conf", "data/manifests"):
                shutil.copytree(ROOT / name, name)
            shutil.copy(ROOT / "params.yaml", "params.yaml")
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = target.read_bytes() if target.exists() else b'[{"benchmark": "Set5", "a,b": 1}]\n1,2\n'
            place %= len(content)
            target.write_bytes(content[:place] + bytes([byte]) + content[place:])
            return str(use() or "") or None

        yield path, attack


def _lock() -> None:
    assert lock_file.restore(), "accepted"


def _gallery() -> None:
    from blindsr.reporting.page import all_figures

    all_figures.gallery(mock.Mock(folder=Path("reports")))
    raise AssertionError("accepted")


def read_only(given: Given) -> Attacks:
    """Places that cannot be written, as their file system says; where this user may mount any."""
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        return
    script = "mkdir -p {place} own; cp $PHOTO own/a.png; {mount}; exec {python} -m blindsr {command}"
    read, few = "mount -t tmpfs -o ro none {place}", "mount -t tmpfs -o nr_inodes=1 none {place}"
    full = "mount -t tmpfs -o size=4k none {place}"
    for place, command_ in (
        ("out", "suite own out/lr"),
        ("out", "score own --model bicubic --cases clean --csv out/a.csv"),
        ("out", "upscale own/a.png --model bicubic --out out/a.png"),
        ("data/raw", "fetch --offline"),
        ("data/lr", "degrade"),
        ("reports", "gallery"),
        (".train_state", "evaluate bicubic"),
    ):
        for mount in (read, few, full):
            if mount == full and place != "out":
                continue

            def attack(place: str = place, command_: str = command_, mount: str = mount) -> str | None:
                photo(Path("photo.png"), 64)
                shutil.copytree(given.project, "p", symlinks=True)
                shutil.copytree(ROOT / "data/manifests", "p/data/manifests")
                shutil.copy(ROOT / "params.yaml", "p/params.yaml")
                text = script.format(
                    place=place, mount=mount.format(place=place), python=sys.executable, command=command_
                )
                done = subprocess.run(
                    ["unshare", "-m", "sh", "-ec", text], cwd="p", capture_output=True, text=True, check=False,
                    env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PHOTO": str(Path("photo.png").absolute())},
                )  # fmt: skip
                said = done.stderr.strip().splitlines()[-1:] or [""]
                if "Traceback" in done.stderr:
                    return f"a traceback: {said[0][:200]}"
                return None if done.returncode == 2 else f"status {done.returncode}: {said[0][:200]}"

            yield f"{command_}: {mount.split()[4]} {place}", attack


# 14: supply chain --------------------------------------------------------------------------------------------------


def formulas(given: Given) -> Attacks:
    for text in ("=HYPERLINK(1)", "+1+1", "-1+cmd", "@SUM(1)", "\t=1", "\r=1", "=1\n=1"):

        def attack(text: str = text) -> str | None:
            files.write_csv(Path("a.csv"), ["a", text], [[1, text]])
            with open("a.csv", newline="") as file:
                cells = [cell for row in csv.reader(file) for cell in row]
            bad = [cell for cell in cells if cell.strip().startswith(("=", "+", "-", "@"))]
            back = files.read_csv(Path("a.csv"))[0]
            return f"cells {bad}" if bad else None if text in back.values() else f"read as {back}"

        yield repr(text), attack


def locks(given: Given) -> Attacks:
    """pip installs no other file than those of the lock; nothing is asked of an index."""

    def attack() -> str | None:
        Path("w").mkdir()
        with zipfile.ZipFile("w/zipp-4.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr("zipp-4.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: zipp\nVersion: 4.1.2\n")
            wheel.writestr("zipp-4.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr("zipp-4.1.2.dist-info/RECORD", "")
        lock = (ROOT / "requirements.lock").read_text()
        Path("r.lock").write_text(lock[lock.index("\nzipp==") :])
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-index",
            "--find-links",
            "w",
            "--target",
            "t",
            "-r",
            "r.lock",
        ]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        refusal = "DO NOT MATCH THE HASHES" in done.stderr
        return None if done.returncode and refusal else f"status {done.returncode}: {done.stderr[-200:]}"

    yield "another wheel of a pinned version", attack
