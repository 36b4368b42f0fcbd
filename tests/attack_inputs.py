"""Attacks by processes, archives, images, manifests and names: see `attacks.py`."""

import contextlib
import io
import os
import signal
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from blindsr.acquisition import archive, catalog, fetched, inspection, sources
from blindsr.data import images, indices
from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.reporting import csv_files
from blindsr.runtime import files, workers
from blindsr.runtime.errors import UserError
from blindsr.training import checkpoint
from tests import mirror
from tests.attack_tools import ROOT, Attacks, Given, photo, refused

# 1 and 2: processes ------------------------------------------------------------------------------------------------


def worker_faults(given: Given) -> Attacks:
    faults: dict[str, Callable[[int], Any]] = {
        "SIGKILL": lambda number: os.kill(os.getpid(), signal.SIGKILL),
        "exit": lambda number: os._exit(3),
        "no files left": lambda number: (_ for _ in ()).throw(OSError(24, "Too many open files")),
        "no memory": lambda number: (_ for _ in ()).throw(MemoryError),
    }

    def attack(fault: Callable[[int], Any]) -> None:
        def start() -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

        try:
            with workers.Workers(fault, range(50), 2, ahead=2, room=4096, start=start, receive=np.array) as made:
                list(made)
        except (workers.Unmade, MemoryError) as error:
            raise UserError(str(error)) from None  # as the trainer does

    for what, fault in faults.items():
        yield what, refused(lambda fault=fault: attack(fault))


def orphans(given: Given) -> Attacks:
    """A stage's command ends with the DVC that started it."""
    stage = "import signal\nfrom blindsr.runtime import command\n"
    stage += "command.run(lambda: (print('runs', flush=True), signal.pause()))"
    starter = "import os, subprocess, sys\nenvironment = {**os.environ, 'DVC_STAGE': 'train@a'}\n"
    starter += "subprocess.run([sys.executable, '-c', sys.argv[1]], env=environment)"

    def attack() -> str | None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(
            [sys.executable, "-c", starter, stage], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as started:
            assert started.stdout is not None
            started.stdout.readline()
            started.kill()
            started.stdout.read()  # ends when the orphan has
        return None

    yield "SIGKILL of DVC alone", attack


def unfinished(given: Given) -> Attacks:
    """The state of a finished training stays until its result is seen committed."""

    def attack() -> str | None:
        made = [Path("models/a.safetensors")]
        files.write_atomic(made[0], b"weights")
        state = Path(".train_state/a")
        checkpoint.save(state, 5, {"step": 5})
        checkpoint.finish(state, made)
        checkpoint.sweep_others(Path(".train_state/b"))
        checkpoint.sweep(state)
        return None if checkpoint.newest_iteration(state) == 5 else "its state is gone"

    yield "a full cache", attack


# 3, 4, 5, 6: inputs ------------------------------------------------------------------------------------------------


def partial_sets(given: Given) -> Attacks:
    source = {"kind": "archive", "url": "https://sets.example.org/Toy.zip", "members": "*.png"}

    def attack(count: int) -> None:
        for number in range(count):
            photo(Path(f"data/raw/Toy/{number}.png"))
        sources.obtain(mirror.manifest(source), mirror.data(offline=True))

    for count in range(1, 4):
        yield f"{count} images of a killed unpacking", refused(lambda count=count: attack(count))

    def fewer() -> None:
        fetched.keep_images("Toy", 3)
        attack(2)

    yield "fewer than at first", refused(fewer)


def hostile_images(given: Given) -> Attacks:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    text = b"a\0\0" + zlib.compress(b"x" * 100_000_000)
    plain = io.BytesIO()
    Image.new("RGB", (16, 16)).save(plain, "PNG")
    png = plain.getvalue()
    gif = io.BytesIO()
    Image.new("RGB", (16, 16)).save(gif, "GIF")
    hostile = {
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "60,000 x 60,000": huge + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
        "text of 100 MB": png[:33] + chunk(b"zTXt", text) + png[33:],
        "cut": png[: len(png) // 2],
        "empty": b"",
        "GIF": gif.getvalue(),
    }

    def attack(content: bytes) -> str | None:
        photo(Path("own/good.png"))
        Path("own/bad.png").write_bytes(content)
        found = inspection.inspect(mirror.manifest({"kind": "user", "help": "h"}), Path("own"), in_place=True)
        names = [image.name for image in found.images]
        if names not in (["good"], ["bad", "good"]):
            return f"indexed {names}"
        for read in (images.read_rgb, inspection.pixel_hash):
            with contextlib.suppress(UserError):
                read(Path("own/bad.png"))
                if names == ["good"]:
                    return "opened"
        return None

    for what, content in hostile.items():
        yield what, lambda content=content: attack(content)
    for number in range(given.rounds):
        body = bytearray(png)
        for place in given.draw.integers(len(body), size=3):
            body[place] = int(given.draw.integers(256))
        yield f"3 bytes, round {number}", lambda body=bytes(body): attack(body)


def places(given: Given) -> Attacks:
    base = {"name": "Toy", "role": "benchmark", "title": "t", "licence": "l"}
    user = {"kind": "user", "help": "h"}

    def attack(settings: dict[str, Any]) -> None:
        Path("Toy.yaml").write_text(yaml.safe_dump({**base, "sources": [user], **settings}))
        catalog.load_manifest("Toy", Path())

    for name in ("../evil.png", "../../../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\evil.png", "..", ""):
        yield name, refused(lambda name=name: attack({"files": {name: {}}}))
        package = {"kind": "package", "folders": [name]}
        yield f"package {name}", refused(lambda s=package: attack({"sources": [s], "files": {"a.png": {}}}))
    yield "numbered", refused(lambda: attack({"numbered": {"format": "../{:d}.png", "first": 1, "last": 2}}))

    def member(name: str) -> str | None:
        Path("in").mkdir()
        with zipfile.ZipFile("in/a.zip", "w") as zipped:
            zipped.writestr(name, "evil")
        with contextlib.suppress(UserError):
            archive.unpack(Path("in/a.zip"), "*.png", Path("in/out"), label="Toy")
        made = [path for path in Path().rglob("*.png") if Path("in/out") not in path.parents]
        return f"wrote {made}" if made else None

    for name in ("../evil.png", "/tmp/../evil.png", "..\\evil.png", "a/../../evil.png"):
        yield f"member {name}", lambda name=name: member(name)


def odd_names(given: Given) -> Attacks:
    """Names come back from tables as they were; from a folder, too, or it is said that they cannot be carried."""

    def in_table(name: str) -> str | None:
        score = Score(Key("Toy", "clean", name), {"psnr_db": 20.0})
        benchmarks.write_csv([score], ["psnr_db"], Path("a.csv"))
        found = [
            csv_files.read(Path("a.csv"), again="again")["image"][0],
            benchmarks.read_csv(Path("a.csv"))[0].key.image,
        ]
        if found != [name, name]:
            return f"read as {found}"
        cell = Path("a.csv").read_text().split("\n")[1].split(",")[2].strip('"')
        return "a formula" if cell[:1] in "=+-@" and len(cell) > 1 else None

    for name in (
        "NA",
        "null",
        "nan",
        "None",
        "007",
        "1e5",
        "=1+1",
        "@SUM(A1)",
        "-x",
        "+x",
        "a,b",
        'a"b',
        "é",
        "true",
    ):
        yield name, lambda name=name: in_table(name)

    def in_folder(name: bytes) -> str | None:
        Path("own").mkdir()
        photo(Path("good.png"))
        os.rename("good.png", os.path.join(b"own", name))
        found = inspection.inspect(mirror.manifest({"kind": "user", "help": "h"}), Path("own"), in_place=True)
        found.write(Path("index"))
        indices.read_index("Toy", Path("index"))
        return None

    for name in (b"\xff\xfe.png", b"a\nb.png", b"-rf.png", b"a" * 240 + b".png", b"NA.png", b"\x1b[31m.png"):
        yield repr(name[:12]), lambda name=name: in_folder(name)
