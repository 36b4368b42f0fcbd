"""The files of scores of all runs, as one frame."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from blindsr.config import registry
from blindsr.config.run import Run
from blindsr.plugins.metrics.base import Metric
from blindsr.runtime.errors import UserError

BASELINE = "none"
"""The regularizer that every other one is compared with."""
HARDEST = "b+n+j"
"""The case with every kind of degradation."""
CONTROL = "two_views"
"""What a regularizer of two views is compared with, too: the views without a penalty."""


def records(names: Iterable[str]) -> dict[str, Metric]:
    """What is known of metrics; none of them measures anything here.

    Args:
        names: Names of the plug-ins.

    Returns:
        Name -> metric, in the order of the names.

    Raises:
        UserError: for an unknown name.
    """
    return {name: registry.build("metric", name) for name in names}


def read(folder: Path, runs: Iterable[Run], metrics: Iterable[str]) -> pd.DataFrame:
    """Per-image scores of every run, <folder>/<run>.csv.

    Args:
        folder: Folder of the files.
        runs: One run or more.
        metrics: Columns that every file must have; it may have more.

    Returns:
        One row per run, image and case: the columns of the files, and backbone, reg and seed.

    Raises:
        UserError: for a missing or foreign file.
    """
    frames = []
    for run in runs:
        path = folder / f"{run}.csv"
        try:
            frame = pd.read_csv(path, dtype={"image": str}, keep_default_na=True)
        except FileNotFoundError:
            raise UserError(f"{path} is missing: run `dvc repro`") from None
        absent = {"benchmark", "case", "image", *metrics} - set(frame)
        if absent:
            raise UserError(f"{path} has no column {sorted(absent)[0]}: run `dvc repro --force` for its stage")
        frames.append(frame.assign(backbone=run.backbone, reg=run.reg, seed=run.seed))
    return pd.concat(frames, ignore_index=True)
