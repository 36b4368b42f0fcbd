"""A child process of the check: `python -m benchmarks.gpu_check.worker TASK SETTINGS`, with settings as JSON.

It works on the device and prints a line of JSON for each result. Started by `children.worker`, not by people.
"""

import importlib
import json
import sys

from benchmarks.gpu_check import protocol

TASKS = {"prepare": "work_prepare", "jobs": "work_jobs", "side": "work_side", "train": "work_train"}
"""Task -> module whose `run` gets the settings."""


def main() -> None:
    """Do the one task."""
    protocol.listen()
    task, settings = sys.argv[1:]
    importlib.import_module(f"benchmarks.gpu_check.{TASKS[task]}").run(**json.loads(settings))


if __name__ == "__main__":
    main()
