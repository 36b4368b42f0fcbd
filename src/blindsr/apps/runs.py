"""MLflow made complete from recorded files, and its server started on this project's runs."""

import csv
import subprocess
import sys
from pathlib import Path

from blindsr import evaluation, networks, paths, tracking
from blindsr.analysis.training_cost import Cost
from blindsr.errors import UserError
from blindsr.params import Params, cell_name


def sync(params: Params) -> None:
    """Publish the curve, cost and scores of every trained cell; what the server has is not sent again."""
    for backbone, reg, seed in params.cells:
        cell = cell_name(backbone, reg, seed)
        weights = paths.MODELS / f"{cell}.safetensors"
        if not weights.exists():
            print(f"{cell}: not trained yet, left out")
            continue
        _, info = networks.load(weights)
        described = {"backbone": backbone, "reg": reg, "seed": seed, "profile": params.profile}
        with tracking.open_run(cell, info.run, described) as run:
            for row in _rows(paths.CURVES / f"{cell}.csv"):
                run.metrics(int(row["iteration"]), {key: float(value) for key, value in row.items() if value})
            for row in _rows(paths.ANALYSIS / cell / "cost.csv"):
                iterations = int(row.pop("iterations"))
                run.summary(Cost(**{name: int(value) for name, value in row.items()}).totals(iterations))
            scores = paths.SCORES / f"{cell}.csv"
            run.summary(evaluation.means(evaluation.read_csv(scores) if scores.exists() else []))
        print(f"{cell}: in {tracking.tracking_uri()}")


def ui(port: int) -> None:
    """Run `mlflow ui` on the database of the runs until Ctrl-C."""
    artifacts = paths.project_root() / "mlartifacts"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        tracking.tracking_uri(),
        "--default-artifact-root",
        str(artifacts),
        "--port",
        str(port),
    ]
    status = subprocess.run(command, check=False).returncode
    if status:
        raise UserError(f"the MLflow server ended with status {status}: is port {port} taken? Try --port")


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
