"""The numbers that the paper prints, to stand beside the rebuilt ones."""

from importlib import resources

import pandas as pd

COLUMNS = ["table", "backbone", "regularizer", "dataset", "degradation", "metric", "value", "suspect"]
"""Of the frame that `load` returns."""

MISPRINTS = (
    ("MSRN", "none", "Test2k", "clean", 22.99),
    ("RRDB", "rff", "BSD100", "noise", 23.47),
    ("SwinIR", "rff", "Set5", "noise", 24.61),
)
"""Cells of the main table (backbone, regularizer, dataset, degradation, PSNR in dB) that look like misprints.

Of its network and benchmark, each is the cell whose gain of rff over none is at least twice that of any other case.
The paper's own means include them, so they are flagged and never altered.
"""

_KEYS = ["backbone", "regularizer", "dataset", "degradation", "value"]


def load() -> pd.DataFrame:
    """One row per printed value, in the order of the paper's tables; see `COLUMNS`.

    `table` is psnr_main (four backbones, six benchmarks, eight cases), ablation (each the mean of the eight
    cases), ntire2018 or lpips; `metric` psnr (dB, RGB) or lpips; `degradation` is empty in the LPIPS table;
    `suspect` marks `MISPRINTS`.

    The average improvements that the paper quotes (SRResNet 0.57 dB with rff and 0.26 with dropout, RRDB 0.72 and
    0.31, MSRN 0.25 and 0.07, SwinIR 0.22 and 0.05) are plain means, over the 48 cells of a backbone in psnr_main,
    of that regularizer's value minus that of none, misprints included.
    """
    with resources.files("blindsr.reporting.paper").joinpath("published_results.csv").open(encoding="utf-8") as file:
        frame: pd.DataFrame = pd.read_csv(file, keep_default_na=False, dtype={"value": float})
    cells = frame[_KEYS].itertuples(index=False, name=None)
    main = frame["table"] == "psnr_main"
    frame["suspect"] = [in_main and cell in MISPRINTS for in_main, cell in zip(main, cells, strict=True)]
    return frame[COLUMNS]
