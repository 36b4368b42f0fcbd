"""report: tables, metrics, plots and figures from the files of the other stages; never from MLflow."""

import csv
import io

import pandas as pd

from blindsr import files, paths, tracking
from blindsr.datasets import indices
from blindsr.params import BICUBIC, Params, cell_name
from blindsr.reporting import figures, tables


def run(params: Params) -> None:
    """Write reports/{tables,plots,figures}/ and reports/metrics.json."""
    trained = {cell_name(*cell): cell for cell in params.cells}
    scores = tables.read_scores(paths.SCORES, {BICUBIC: (BICUBIC, BICUBIC, 0), **trained})
    rows = [(BICUBIC, BICUBIC), *dict.fromkeys((backbone, reg) for backbone, reg, _ in params.cells)]
    cases = list(params.suite.cases)
    notes = _notes(params)
    values = {metric: tables.table(scores, metric, params.data.benchmarks, rows, cases) for metric in tables.METRICS}
    size = f"profile {params.profile}, {params.train.iterations} iterations, seeds {_seeds(params)}"
    for metric, decimals in tables.METRICS.items():
        title = f"{metric}, x{params.scale} ({size})"
        tables.write(values[metric], paths.TABLES / metric, title=title, decimals=decimals, signed=False, notes=notes)
    if tables.BASELINE in params.reg.names:
        differences = tables.improvement(values["psnr_db"])
        tables.write(
            differences,
            paths.TABLES / "improvement_psnr_db",
            decimals=2,
            signed=True,
            notes=notes,
            title=f"psnr_db minus the same backbone without regularizer ({size})",
        )
    tables.write_metrics(values, paths.METRICS)
    _write_plots(values["psnr_db"])
    _draw(params, values["psnr_db"], list(trained), size)
    _publish(params)


def _notes(params: Params) -> list[str]:
    """Footnotes: where the numbers come from, and every hole with its reason."""
    notes = [
        f"Mean over images, then over seeds. Profile `{params.profile}`"
        + ("." if params.profile == "paper" else ": a small run, not the paper's experiment.")
    ]
    for name in params.data.benchmarks:
        missing = indices.read_index(name).missing
        if missing:
            notes.append(f"— {name} is missing: {missing}.")
    trunk = params.data.lpips_trunk
    if trunk is None or indices.read_index(trunk).missing:
        notes.append("— lpips has no trunk weights: set data.lpips_trunk and data.roots to have it.")
    return notes


def _seeds(params: Params) -> str:
    return ", ".join(str(seed) for seed in params.seeds)


def _write_plots(psnr: pd.DataFrame) -> None:
    """reports/plots/psnr.csv for `dvc plots`: one line per method and case."""
    means = psnr.groupby(level=["backbone", "reg"], sort=False).mean()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method_case", "psnr_db"])
    for (backbone, reg), row in means.iterrows():
        method = backbone if backbone == reg else f"{backbone}-{reg}"
        writer.writerows([f"{method} {case}", f"{value:.4f}"] for case, value in row.items() if not pd.isna(value))
    files.write_atomic(paths.PLOTS / "psnr.csv", text.getvalue())


def _draw(params: Params, psnr: pd.DataFrame, cells: list[str], size: str) -> None:
    if tables.BASELINE in params.reg.names and len(params.reg.names) > 1:
        trained = psnr.drop(index=BICUBIC, level="backbone").dropna()
        baseline = trained.xs(tables.BASELINE, level="reg")
        bicubic = psnr.xs((BICUBIC, BICUBIC), level=("backbone", "reg"))
        reference = -baseline.sub(bicubic.reindex(baseline.index.get_level_values("benchmark")).to_numpy())
        figures.improvement_bars(
            tables.improvement(trained),
            reference,
            paths.FIGURES / "improvement",
            title=f"PSNR gained by each regularizer ({size})",
        )
    curves = {cell: pd.read_csv(paths.CURVES / f"{cell}.csv") for cell in cells}
    figures.learning_curves(curves, paths.FIGURES / "learning_curves", title=f"Training ({size})")
    errors = [pd.read_csv(paths.ANALYSIS / cell / "frequency.csv").assign(cell=cell) for cell in cells]
    means = pd.concat(errors).groupby(["case", "cell", "band"], sort=False)["mape_percent"].mean().reset_index()
    figures.frequency_curves(means, paths.FIGURES / "frequency", title=f"Error of the spectrum ({size})")


def _publish(params: Params) -> None:
    """The tables as artifacts of one MLflow run per grid, so that the server shows them too."""
    grid = f"{'+'.join(params.backbone.names)}-{'+'.join(params.reg.names)}"
    with tracking.open_run(f"report-{params.profile}", f"report-{params.profile}-{grid}", {"grid": grid}) as run:
        run.artifacts(paths.TABLES)
