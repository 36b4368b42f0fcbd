"""The files of scores of all runs, as one frame."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from blindsr.config import registry
from blindsr.config.run import Run
from blindsr.plugins.metrics.base import Metric
from blindsr.reporting import csv_files

BASELINE = "none"
"""The regularizer that every other one is compared with."""
HARDEST = "b+n+j"
"""The case with every kind of degradation."""
CONTROL = "two_views"
"""What a regularizer of two views is compared with, too: the views without a penalty."""

_ROW = ["benchmark", "case", "image"]


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
        UserError: for a missing, damaged or foreign file.
    """
    metrics, runs, again = list(metrics), list(runs), "delete it and run `dvc repro`"
    paths = [folder / f"{run}.csv" for run in runs]
    frames = [csv_files.read(path, needed=[*_ROW, *metrics], unique=_ROW, again=again) for path in paths]
    named = [
        frame.assign(backbone=run.backbone, reg=run.reg, seed=run.seed)
        for frame, run in zip(frames, runs, strict=True)
    ]
    return csv_files.joined(named, paths, again=again)


def without_infinite(scores: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out images that some row restores exactly: their PSNR is infinite, and so would be every mean.

    An image is left out of all rows and cases, so that rows stay comparable.

    Args:
        scores: As from `read`.

    Returns:
        The other rows, and the images that were left out as "benchmark/image".
    """
    infinite = np.isinf(scores.select_dtypes("number")).any(axis=1)
    if not infinite.any():
        return scores, []
    images = pd.MultiIndex.from_frame(scores[["benchmark", "image"]])
    wrong = images[infinite].unique()
    return scores[~images.isin(wrong)].reset_index(drop=True), sorted("/".join(name) for name in wrong)
