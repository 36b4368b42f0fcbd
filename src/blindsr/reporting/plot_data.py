"""What `dvc plots` draws: one long table of scores and one of learning curves, for all experiments alike."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from blindsr.config.run import Row
from blindsr.config.schema import TRAINED
from blindsr.reporting.rescaled import RESCALED
from blindsr.reporting.source import Source
from blindsr.runtime import files

SCORES = ("case", "row", "psnr_db", "control")
CURVES = ("row", "iteration", "l1", "psnr_db_seen", "psnr_db_unseen", "detail_cosine_seen", "detail_cosine_unseen")
_DECIMALS = {"iteration": 0, "l1": 6}


def write(source: Source, folder: Path) -> None:
    """Write scores.csv and curves.csv.

    Args:
        source: Of a report.
        folder: Where they are written.
    """
    files.write_csv(folder / "scores.csv", SCORES, scores(source.psnr))
    points = curves(source.curves, list(source.params.train.losses))
    cells = [[*row[:1], *map(_text, row[1:], CURVES[1:])] for row in points.itertuples(index=False)]
    files.write_csv(folder / "curves.csv", CURVES, cells)


def scores(psnr: pd.DataFrame) -> list[list[str]]:
    """Mean PSNR of each row in each case, over the benchmarks at hand.

    Args:
        psnr: In dB, indexed by benchmark, backbone and reg, with a column per case.

    Returns:
        Rows of `SCORES`, by case, without those that are not known. A control, which is not trained, has no curves:
        charts colour it after all trained rows, so that these have the same colour everywhere.
    """
    means = psnr.groupby(level=["backbone", "reg"], sort=False).mean()
    return [
        [case, Row(*row).name, f"{means.loc[row, case]:.4f}", str(int(Row(*row).is_control or row[1] == RESCALED))]
        for case in means
        for row in means.index
        if pd.notna(means.loc[row, case])
    ]


def curves(known: pd.DataFrame, losses: Sequence[str]) -> pd.DataFrame:
    """The learning curves at each validation, as means over the seeds.

    Args:
        known: Points of all runs, as the report reads them: backbone, reg, seed, iteration and what was measured.
        losses: Names of the training's losses, whose columns are added up.

    Returns:
        Columns `CURVES`: the loss since the validation before, PSNR in dB and the detail cosine under the training's
        own degradation ("seen") and as the mean of the test cases that training watches ("unseen").
    """
    watched = f"psnr_db_{TRAINED}"
    if watched not in known:
        return pd.DataFrame(columns=list(CURVES))
    run = ["backbone", "reg", "seed"]
    rows = pd.MultiIndex.from_frame(known[run[:2]])
    # rows in the order of the settings, as in the scores: charts colour them by it
    points = known.assign(place=rows.unique().get_indexer(rows)).sort_values(["place", "seed", "iteration"])
    points = points.reset_index(drop=True)
    at = points[watched].notna()
    points["l1"] = points[[name for name in losses if name in points]].sum(axis=1, min_count=1)
    since = at.groupby([points[name] for name in run]).transform(lambda own: own.shift(fill_value=False).cumsum())
    points["l1"] = points.groupby([*run, since])["l1"].transform("mean")
    found = points[at].copy()
    for measure in ("psnr_db", "detail_cosine"):
        seen = f"{measure}_{TRAINED}"
        unseen = [name for name in found if name.startswith(f"{measure}_") and name != seen]
        found[f"{measure}_seen"] = found[seen] if seen in found else float("nan")
        found[f"{measure}_unseen"] = found[unseen].mean(axis=1, skipna=False) if unseen else float("nan")
    found["row"] = [Row(*row).name for row in found[["backbone", "reg"]].itertuples(index=False)]
    return found.groupby(["row", "iteration"], sort=False)[list(CURVES[2:])].mean().reset_index()


def _text(value: float, column: str) -> str:
    return "" if pd.isna(value) else f"{value:.{_DECIMALS.get(column, 4)}f}"
