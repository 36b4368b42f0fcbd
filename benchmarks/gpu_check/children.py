"""Child processes that tell their results as lines of JSON, and are killed when their time is over."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Message = dict[str, Any]
# a profiler that is taken down and set up again may crash where CUDA graphs are replayed
_PROFILER = {"TEARDOWN_CUPTI": "0", "DISABLE_CUPTI_LAZY_REINIT": "1"}
_ERROR = re.compile(r"[\w.]*(Error|Exception)\b")
_alive: list["Child"] = []


class Child:
    """A Python process with these arguments; what it prints as JSON objects comes out of `messages`."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str] | None = None) -> None:
        """Starts it, in a process group of its own, so that its helpers die with it."""
        self.cut = False
        """Whether it was killed because its time was over."""
        paths = [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self.process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=os.environ | _PROFILER | {"PYTHONPATH": os.pathsep.join(paths)} | (environment or {}),
            start_new_session=True,
        )
        _alive.append(self)

    def listen(self, into: "queue.Queue[tuple[Child, Message | None]]") -> None:
        """Put each message into a queue, and None at the end."""
        threading.Thread(target=self._listen, args=(into,), daemon=True).start()

    def _listen(self, into: "queue.Queue[tuple[Child, Message | None]]") -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # what libraries print
                message = json.loads(line)
                if isinstance(message, dict):
                    into.put((self, message))
        into.put((self, None))

    def tell(self, text: str) -> None:
        """A line for its standard input."""
        assert self.process.stdin
        with contextlib.suppress(OSError):  # it is gone, which its end will say
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        """End it and its helpers at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def problem(self) -> str:
        """Why it ended otherwise than well, in one line; empty if it did not."""
        status = self.process.wait()
        if self.cut or status == 0:
            return "out of time" if self.cut else ""
        self._errors.seek(0)
        said = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in said[-10:] if _ERROR.match(line)]  # CUDA's are followed by advice
        last = errors[-1] if errors else said[-1] if said else "no message"
        return f"killed by {signal.Signals(-status).name}: {last}" if status < 0 else last


def worker(task: str, **settings: Any) -> Child:
    """A process that does one task of `benchmarks.gpu_check.worker`."""
    return Child(["-m", "benchmarks.gpu_check.worker", task, json.dumps(settings)])


def messages(children: Sequence[Child], deadline: float, *, ends: bool = False) -> Iterator[tuple[Child, Message]]:
    """What the children say, as it comes, until all have ended; at the deadline those that have not are killed.

    With `ends`, an empty message says that a child has ended.
    """
    heard: queue.Queue[tuple[Child, Message | None]] = queue.Queue()
    for child in children:
        child.listen(heard)
    ended: set[Child] = set()
    try:
        while len(ended) < len(children):
            try:
                child, message = heard.get(timeout=max(0.0, deadline - time.time()))
            except queue.Empty:
                break
            if message is None:
                ended.add(child)
            if message or ends:
                yield child, message or {}
    finally:
        for child in children:
            if child.process.poll() is None:
                child.cut = child not in ended
                if not child.cut:  # it has closed its output, and is about to end
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.process.wait(10)
            child.kill()
            if child in _alive:
                _alive.remove(child)


def kill_all() -> None:
    """End every child that is left: this process is about to end."""
    for child in _alive:
        child.kill()
