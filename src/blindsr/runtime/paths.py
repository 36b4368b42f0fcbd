"""Where the stages read and write: relative to the working directory, which DVC sets."""

import os
from pathlib import Path

MANIFESTS = Path("data/manifests")
RAW = Path("data/raw")
INDEX = Path("data/index")
PATCHES = Path("data/patches")
LR = Path("data/lr")
MODELS = Path("models")
REPORTS = Path("reports")
CURVES = Path("reports/curves")
SCORES = Path("reports/scores")
ANALYSIS = Path("reports/analysis")
GALLERY = Path("reports/gallery")
TABLES = Path("reports/tables")
FIGURES = Path("reports/figures")
PLOTS = Path("reports/plots")
METRICS = Path("reports/metrics.json")
PAGE = Path("reports/report.html")


def project_root() -> Path:
    """The real project folder, also in the temporary copies in which DVC runs queued experiments."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()
