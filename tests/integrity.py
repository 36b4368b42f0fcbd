"""Damage by rounds: a byte flipped, a file cut, emptied or swapped, in the workspace, the cache or both.

    python -m tests.integrity --rounds 200
    python -m tests.integrity --rounds 20 --project FOLDER   # of a project that `dvc repro` has made; in a copy of it

Each round damages one thing, uses it, and looks for damage. What is used must be the right bytes or end in one line;
afterwards every file is the right one or gone. With --project, `blindsr verify --quick` and `dvc repro` must bring
back the bytes of all outputs.
"""

import argparse
import collections
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blindsr.apps import verify
from blindsr.data import indices, lr_sums
from blindsr.data.pairs import Pair
from blindsr.data.patch_store import PatchStore
from blindsr.evaluation import benchmarks
from blindsr.evaluation.journal import Journal
from blindsr.model import weight_files
from blindsr.reporting import csv_files
from blindsr.runtime import paths, recorded
from blindsr.runtime.errors import UserError
from blindsr.training import checkpoint
from blindsr.training.kept import Kept
from tests.integrity_project import CACHE, RUNS, STATE, batch, make, weights

DAMAGES = ("flip", "cut", "empty", "swap")


@dataclass
class Kind:
    """Files of one kind in the workspace, and what they are used for; state may come back as something older."""

    glob: str
    use: Callable[[], Any]
    state: bool = False


def _csv(folder: Path) -> Any:
    found = sorted(folder.rglob("*.csv"))
    return [csv_files.read(path, again="make it again").to_csv() for path in found]


def _weights() -> Any:
    return [{k: v.tolist() for k, v in weight_files.load(weights(run))[0].state_dict().items()} for run in RUNS]


def _patches() -> Any:
    store = PatchStore(paths.PATCHES)
    return [store.image(number).tolist() for number in range(store.image_count)], len(store)


def _pairs() -> Any:
    sums, index = lr_sums.read() or {}, indices.read_index("Toy")
    pairs = [
        Pair("Toy", "clean", image.name, paths.RAW / "Toy" / image.file, lr, True, image.sha256, sums.get(name, ""))
        for image in index.images
        for lr in [paths.LR / "Toy" / "clean" / f"{image.name}.png"]
        for name in [lr_sums.name(lr)]
    ]
    return [(pair.read_hr().tolist(), pair.read_lr().tolist()) for pair in pairs]


def _journals() -> Any:
    return {run: Journal(STATE / "evaluate" / run).read() for run in RUNS}


def _kept() -> Any:
    return [
        [tensor.tolist() for tensor in Kept(STATE / "batches" / f"{n}-x").get(i, lambda n=n, i=i: batch(n, i))]
        for n in range(2)
        for i in range(2)
    ]


def _checkpoints() -> Any:
    return {run: (checkpoint.latest(STATE / run) or {}).get("weights", torch.empty(0)).tolist() for run in RUNS}


KINDS = {
    "weights": Kind("models/*", _weights),
    "curves": Kind("reports/curves/*", lambda: _csv(paths.CURVES)),
    "scores": Kind("reports/scores/*", lambda: [benchmarks.read_csv(paths.SCORES / f"{run}.csv") for run in RUNS]),
    "analyses": Kind("reports/analysis/*/*", lambda: _csv(paths.ANALYSIS)),
    "indices": Kind("data/index/*", lambda: [indices.read_index(name) for name in ("Toy", "Other")]),
    "images": Kind("data/raw/*/*", _pairs),
    "lr": Kind("data/lr/*/*/*", _pairs),
    "sums": Kind("data/lr/SHA256SUMS", _pairs),
    "patches": Kind("data/patches/*", _patches),
    "lock": Kind("dvc.lock", lambda: [_weights(), _csv(paths.CURVES)]),
    "checkpoints": Kind(".train_state/srresnet-*/*.pt", _checkpoints, state=True),
    "journals": Kind(".train_state/evaluate/*/*", _journals, state=True),
    "batches": Kind(".train_state/batches/*/*", _kept),
}


def damage(path: Path, kind: str, others: list[Path], draw: np.random.Generator) -> None:
    """Change one file in place, as a disk or a wrong copy does; links to it change, too."""
    content = bytearray(path.read_bytes())
    if kind == "flip":
        content[int(draw.integers(len(content)))] ^= 1 << int(draw.integers(8))
    elif kind == "cut":
        content = content[: int(draw.integers(1, max(2, len(content))))]
    elif kind == "empty":
        content.clear()
    else:
        other = others[int(draw.integers(len(others)))]
        mine, theirs = bytes(content), other.read_bytes()
        _overwrite(other, mine)
        content = bytearray(theirs)
    _overwrite(path, bytes(content))


def _overwrite(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


@dataclass
class Count:
    """What the rounds ended with."""

    rounds: int = 0
    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    silent: list[str] = field(default_factory=list)


def rounds(number: int, seed: int = 0) -> Count:
    """Damage the project of `make` in the working directory `number` times, and put it right each time."""
    count, draw = Count(), np.random.default_rng(seed)
    right = snapshot()
    expected = {name: kind.use() for name, kind in KINDS.items()}
    for _ in range(number):
        name = list(KINDS)[int(draw.integers(len(KINDS)))]
        what = DAMAGES[int(draw.integers(len(DAMAGES)))]
        where = ("workspace", "cache", "both")[int(draw.integers(3))]
        said = _round(name, what, where, expected[name], right, draw, count)
        count.rounds += 1
        if said:
            count.silent.append(f"round {count.rounds}: {name}, {what}, {where}: {said}")
        restore(right)
    return count


def _round(
    name: str, what: str, where: str, expected: Any, right: dict[Path, bytes], draw: np.random.Generator, count: Count
) -> str:
    """One round; what was wrong, or nothing."""
    kind = KINDS[name]
    found = sorted(path for path in Path().glob(kind.glob) if path.is_file())
    path = found[int(draw.integers(len(found)))]
    copies = [CACHE / md5[:2] / md5[2:] for file in found for md5 in [recorded.md5(file)]]
    if what == "swap" and len(found) == 1:
        what = "flip"
    if not copies[found.index(path)].exists():
        where = "workspace"
    targets = {"workspace": [found], "cache": [copies], "both": [found, copies]}[where]
    chosen, state = found.index(path), draw.bit_generator.state
    for files_ in targets:
        draw.bit_generator.state = state  # the same damage in both
        damage(files_[chosen], what, [file for file in files_ if file != files_[chosen]], draw)
    changed = {file for file, content in right.items() if file.read_bytes() != content}
    if not changed:
        count.ends["swapped with its equal"] += 1
        return ""
    wrong = _used(kind, expected, count)
    if wrong:
        return wrong
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        first, second = _verified(), _verified()
    passed_over = kind.state and name == "journals"  # a line that a kill cut off is nothing to report
    if name == "lock" and not first:  # another command, parameter, hash of a dep or name: DVC sees it, and runs
        count.ends["left to DVC"] += 1
        return ""
    if not first and not passed_over and any(file.exists() and file.read_bytes() != right[file] for file in changed):
        return "verify found nothing"
    if second and not (name == "lock" and "run `dvc repro`" in second):
        return f"the second verify says {second}"
    left = [
        str(file)
        for file in right
        if file.exists() and file.read_bytes() != right[file] and not passed_over and file != recorded.LOCK
    ]
    if left:
        return f"verify left {', '.join(left)}"
    return _used(kind, expected, count, gone=True)


def _used(kind: Kind, expected: Any, count: Count, *, gone: bool = False) -> str:
    """Use what was damaged: the right values, or one line. What is gone has its own line."""
    try:
        value = kind.use()
    except UserError as error:
        if not gone:
            count.ends["one line"] += 1
        return "" if "\n" not in str(error) else f"several lines: {error}"
    except FileNotFoundError as error:
        return "" if gone else f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if repr(value) == repr(expected):
        if not gone:
            count.ends["right bytes"] += 1
        return ""
    if kind.state and all(value[run] in (expected[run], {}, []) or _older(value[run]) for run in RUNS):
        if not gone:
            count.ends["older state, or none"] += 1
        return ""
    return "" if gone else "used, and wrong"


def _older(value: Any) -> bool:
    return isinstance(value, list) and len(set(value)) == 1  # a checkpoint before it


def _verified() -> str:
    try:
        verify.run()
    except UserError as error:
        return str(error)
    return ""


def snapshot() -> dict[Path, bytes]:
    """All files that may be damaged."""
    found = [path for name in ("data", "models", "reports", ".dvc", ".train_state") for path in Path(name).rglob("*")]
    return {path: path.read_bytes() for path in [*found, recorded.LOCK] if path.is_file()}


def restore(right: dict[Path, bytes]) -> None:
    shutil.rmtree(STATE / "damaged", ignore_errors=True)
    for path, content in right.items():
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(content)


OUTS = (
    "models/*.safetensors", "reports/curves/*", "reports/scores/*", "reports/analysis/*/*", "data/lr/**/*",
    "data/patches/*", "data/index/*", "data/raw/*/*", "reports/tables/*", "reports/report.html",
    "reports/gallery/**/*",
)  # fmt: skip


def dvc_rounds(number: int, seed: int, project: Path) -> Count:
    """The same in the working directory, a project that `dvc repro` has made, with DVC itself."""
    count, draw = Count(), np.random.default_rng(seed)
    environment = {**os.environ, "PYTHONPATH": str(Path("src").resolve())}

    def run(*command: str) -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return "" if not done.returncode else (done.stdout + done.stderr)[-500:]

    right = {path: path.read_bytes() for glob in OUTS for path in Path().glob(glob) if path.is_file()}
    for _ in range(number):
        glob = OUTS[int(draw.integers(len(OUTS)))]
        found = sorted(path for path in right if path.match(glob) or path in set(Path().glob(glob)))
        path, what = found[int(draw.integers(len(found)))], DAMAGES[int(draw.integers(3))]
        where = ("workspace", "cache", "both", "lock")[int(draw.integers(4))]
        md5 = recorded.md5(path)
        copy = CACHE / md5[:2] / md5[2:]
        targets = {"workspace": [path], "cache": [copy], "both": [path, copy], "lock": [recorded.LOCK]}[where]
        state = draw.bit_generator.state
        for target in targets:
            if target.exists():
                draw.bit_generator.state = state
                damage(target, "cut" if where == "lock" else what, [], draw)
        said = run("blindsr", "verify", "--quick") or run("dvc", "repro")
        wrong = [str(file) for file, content in right.items() if not file.exists() or file.read_bytes() != content]
        count.rounds += 1
        count.ends["right bytes" if not wrong else "wrong"] += 1
        print(f"{count.rounds}: {path}, {what}, {where}: {said or wrong or 'right bytes'}", flush=True)
        if said or wrong:
            count.silent.append(f"{path}, {what}, {where}: {said} {wrong}")
    return count


@contextlib.contextmanager
def within(folder: Path) -> Iterator[None]:
    with contextlib.chdir(folder):
        yield


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--project", type=Path)
    chosen = parser.parse_args()
    os.environ.pop("DVC_ROOT", None)
    with tempfile.TemporaryDirectory() as folder:
        if chosen.project:
            shutil.copytree(chosen.project, Path(folder) / "project", symlinks=True)
            with within(Path(folder) / "project"):
                count = dvc_rounds(chosen.rounds, chosen.seed, chosen.project)
        else:
            with within(Path(folder)):
                make()
                count = rounds(chosen.rounds, chosen.seed)
    print(f"{count.rounds} rounds: {dict(count.ends)}; {len(count.silent)} silent")
    for line in count.silent:
        print(line)
    sys.exit(bool(count.silent))


if __name__ == "__main__":
    main()
