"""Part "tests": those of tests/gpu, in processes of their own."""

import importlib.util

from benchmarks.gpu_check.children import ROOT, Child, Message, messages
from benchmarks.gpu_check.context import Context

_FOLDER = "tests/gpu/"
_STOPPED = 2  # pytest's status when it was told to stop


def run(context: Context, deadline: float) -> None:
    """A line for each test, with what it measured; after a failed CUDA call a new process goes on with the rest."""
    if importlib.util.find_spec("pytest") is None or not (ROOT / _FOLDER).is_dir():
        raise ValueError(f"pytest and {_FOLDER} are needed: this is not the project's folder, or pytest is absent")
    outcomes: dict[str, str] = {}
    while True:
        started, child = "", _start(context, list(outcomes))
        for _, message in messages([child], deadline):
            started = message.get("started", "")
            if not started:
                outcomes[message["test"]] = message["outcome"]
                _tell(context, message)
        status = child.process.returncode
        if child.cut or 0 <= status != _STOPPED:
            break
        if started:  # it has ended the process
            outcomes[started] = "failed"
            context.journal.line("tests", f"{started.removeprefix(_FOLDER)}: {child.problem()}", failed=True)
        elif status != _STOPPED:
            break
    counts = {kind: list(outcomes.values()).count(kind) for kind in ("passed", "failed", "skipped")}
    summary = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    context.journal.line(
        "tests", f"{summary}{' (out of time: not all were run)' if child.cut else ''}", counts=counts
    )
    if child.cut or not outcomes:
        context.journal.line("tests", child.problem() or "no test was run", failed=True)


def _tell(context: Context, message: Message) -> None:
    measured = ", ".join(f"{name} {value}" for name, value in message["measured"].items())
    text = f"{message['test'].removeprefix(_FOLDER)} {message['outcome']} in {message['seconds']:.1f} s"
    reason = f": {message['reason']}" if message["reason"] else ""
    failed = message["outcome"] == "failed"
    context.journal.line("tests", f"{text}{reason}{f' [{measured}]' if measured else ''}", failed=failed)


def _start(context: Context, done: list[str]) -> Child:
    arguments = ["-m", "pytest", "-m", "gpu", _FOLDER, "-q", "-p", "benchmarks.gpu_check.pytest_lines"]
    arguments += ["-p", "no:cacheprovider", *(f"--deselect={test}" for test in done)]
    # plug-ins of other packages are not needed, and take seconds
    environment = {"BLINDSR_GPU_CHECK": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return Child(arguments, environment | ({} if context.cuda else {"BLINDSR_GPU_TESTS": "cpu"}))
