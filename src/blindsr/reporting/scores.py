"""The files of scores of all runs, as one frame."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from blindsr.config.run import Run
from blindsr.runtime.errors import UserError

METRICS = {"psnr_db": 2, "psnr_y_db": 2, "ssim": 4, "lpips": 4}
"""Metric -> decimals in the tables."""
BASELINE = "none"
"""The regularizer that every other one is compared with."""
CONTROL = "two_views"
"""What a regularizer of two views is compared with, too: the views without a penalty."""


def read(folder: Path, runs: Iterable[Run]) -> pd.DataFrame:
    """Per-image scores of every run, <folder>/<run>.csv, one row per image and case.

    With the columns backbone, reg and seed.

    Raises UserError for a missing or foreign file.
    """
    frames = []
    for run in runs:
        path = folder / f"{run}.csv"
        try:
            frame = pd.read_csv(path, dtype={"image": str}, keep_default_na=True)
        except FileNotFoundError:
            raise UserError(f"{path} is missing: run `dvc repro`") from None
        absent = {"benchmark", "case", "image", *METRICS} - set(frame)
        if absent:
            raise UserError(f"{path} has no column {sorted(absent)[0]}: run `dvc repro --force` for its stage")
        frames.append(frame.assign(backbone=run.backbone, reg=run.reg, seed=run.seed))
    return pd.concat(frames, ignore_index=True)
