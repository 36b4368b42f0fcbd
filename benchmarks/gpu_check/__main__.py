"""`python -m benchmarks.gpu_check [--minutes 9] [--out gpu_check] [--data FOLDER] [--small] [--parts A,B]`.

Runs to its end whatever fails on the way; status 1 says that something did. See the package for what it does.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from benchmarks.gpu_check import children, part_profile, part_speed, part_tests, part_training
from benchmarks.gpu_check.clock import SHARES, Clock
from benchmarks.gpu_check.context import Context
from benchmarks.gpu_check.journal import Journal
from blindsr.runtime.errors import UserError

PARTS: dict[str, Callable[[Context, float], None]] = {
    "tests": part_tests.run,
    "speed": part_speed.run,
    "profile": part_profile.run,
    "training": part_training.run,
}
_PREPARE = 120.0  # seconds at most for the machine's facts and the images


def main() -> int:
    """The whole check; returns the status of the process."""
    arguments = _arguments()
    parts = [part for part in PARTS if part in arguments.parts]
    clock = Clock(60 * arguments.minutes, parts)
    signal.signal(signal.SIGTERM, _stop)
    try:
        journal = Journal(arguments.out.resolve(), "GPU check of blindsr")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="gpu_check_") as folder:
            context = Context(journal, Path(folder), arguments.data and arguments.data.resolve(), arguments.small)
            _prepare(context, min(clock.deadline(parts[0]), time.time() + _PREPARE))
            for part in parts:
                _run(part, context, clock)
    finally:
        children.kill_all()
    print(f"{journal.folder / 'report.md'}: {journal.failures} failures, {clock.elapsed:.0f} s", flush=True)
    return 1 if journal.failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0, help="budget of time (default: 9)")
    parser.add_argument("--out", type=Path, default=Path("gpu_check"), help="folder of the results")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with BSDS399/, benchmarks/Set5 and benchmarks/Set14; without it, the photos in scikit-image",
    )
    parser.add_argument("--small", action="store_true", help="small sizes, on a CPU too: shows that all of it works")
    parser.add_argument("--parts", type=_parts, default=list(SHARES), help=f"some of {','.join(SHARES)}")
    arguments = parser.parse_args()
    if not arguments.minutes > 0:
        parser.error("--minutes must be above 0")
    return arguments


def _parts(text: str) -> list[str]:
    chosen = text.split(",")
    unknown = [part for part in chosen if part not in SHARES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}: choose from {', '.join(SHARES)}")
    return chosen


def _prepare(context: Context, deadline: float) -> None:
    """Ask a child for the machine's facts and for the images: this process itself never touches the device."""
    child = children.worker("prepare", folder=str(context.folder), data=context.data_text, small=context.small)
    for _, message in children.messages([child], deadline):
        if "machine" in message:
            context.cuda, context.cores = message["cuda"], message["cores"]
            context.gpu = message["machine"]["GPU"]
            context.small = context.small or not context.cuda
            context.journal.machine(message["machine"])
            if not context.cuda:
                context.journal.line("machine", "no NVIDIA GPU is here: small sizes on the CPU, no target applies")
        elif "prepared" in message:
            context.prepared |= message["prepared"]
            context.journal.line("machine", message["text"])
        else:
            context.journal.line("machine", message["text"], failed=True)
    if child.problem():
        context.journal.line("machine", f"preparing: {child.problem()}", failed=True)


def _run(part: str, context: Context, clock: Clock) -> None:
    began = time.time()
    try:
        PARTS[part](context, clock.deadline(part))
    except Exception as error:  # whatever it is: the other parts have a right to run
        context.journal.line(part, f"{type(error).__name__}: {error}", failed=True)
    context.journal.end(part, time.time() - began)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
