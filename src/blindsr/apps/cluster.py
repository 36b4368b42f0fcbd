"""The runs of the grid as jobs of a SLURM cluster, by submitit.

    blindsr grid --slurm --jobs 32 --set timeout_min=1440 --set slurm_partition=gpu

The project's folder must be one that all machines of the cluster see. On NFS, DVC wants
`dvc config core.hardlink_lock true`.
"""

import os
import subprocess
from collections.abc import Sequence
from typing import Any

from blindsr.apps import grid
from blindsr.config.params import Params
from blindsr.runtime import lifetime, paths
from blindsr.runtime.errors import UserError


class Job:
    """One run as a job of a cluster: submitted anew when its time is over, it resumes from its last checkpoint."""

    def __init__(self, run: str, targets: Sequence[str]) -> None:
        """`run` is its name, `targets` the stages that make it, in order, as DVC names them."""
        self.run, self.targets = run, targets

    def __call__(self) -> None:
        """Run on the cluster, in the folder where it was submitted. Raises CalledProcessError if the run fails."""
        environment = {**os.environ, **lifetime.started_here()}
        subprocess.run(grid.command(self.targets), env=environment, check=True)

    def checkpoint(self) -> Any:
        """What submitit calls before a time limit or a pre-emption."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def parse(settings: list[str]) -> dict[str, str]:
    """KEY=VALUE of the command line as a mapping. Raises UserError for anything else."""
    pairs = [setting.partition("=") for setting in settings]
    for setting, (key, sign, value) in zip(settings, pairs, strict=True):
        if not (key and sign and value):
            raise UserError(f"--set takes KEY=VALUE, such as timeout_min=1440, not {setting!r}")
    return {key: value for key, _, value in pairs}


def submit(params: Params, jobs: int, settings: dict[str, str], cluster: str = "slurm") -> list[Any]:
    """Submit the unfinished runs as one array, at most `jobs` of them at a time; returns submitit's jobs.

    `settings` are parameters of submitit's executor, such as timeout_min or slurm_partition. Raises UserError for
    those it does not know, and on a machine without SLURM or submitit.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("--slurm needs submitit: pip install 'blindsr[slurm]'") from None
    executor = _executor(submitit, cluster, settings, jobs)
    with executor.batch():
        submitted = [executor.submit(Job(*one)) for one in grid.unfinished(params).items()]
    for job in submitted:
        print(f"{job.job_id}: {job.submission().function.run}")
    print(f"{len(submitted)} jobs, their logs in {executor.folder}; when they have ended: dvc repro")
    return submitted


def _executor(submitit: Any, cluster: str, settings: dict[str, str], jobs: int) -> Any:
    try:
        executor = submitit.AutoExecutor(paths.project_root() / ".train_state" / "slurm", cluster=cluster)
        numbers: dict[str, Any] = {key: int(value) if value.isdigit() else value for key, value in settings.items()}
        if cluster == "slurm":
            numbers = {"gpus_per_node": 1, "slurm_array_parallelism": jobs} | numbers
        executor.update_parameters(name="blindsr", **numbers)
    except (RuntimeError, NameError, ValueError, TypeError, AssertionError) as error:
        raise UserError(f"submitit cannot submit: {' '.join(str(error).split())}") from None
    return executor
