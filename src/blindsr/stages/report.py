"""report: tables, metrics, plots and figures from the files of the other stages; never from MLflow."""

import csv
import io

import pandas as pd

from blindsr import files, paths, tracking
from blindsr.datasets import indices
from blindsr.params import BICUBIC, Params, cell_name
from blindsr.reporting import analyses, analysis_figures, differences, figures, tables

Cells = dict[str, tuple[str, str, int]]


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
        _compare(params, scores, values["psnr_db"], size, notes)
    tables.write_metrics(values, paths.METRICS)
    _write_plots(values["psnr_db"])
    _draw(params, values["psnr_db"], list(trained), size)
    _analyses(params, trained, values["psnr_db"], size)
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


def _compare(params: Params, scores: pd.DataFrame, psnr: pd.DataFrame, size: str, notes: list[str]) -> None:
    """Differences to the baseline: as a plain table, and with intervals and tests."""
    what = "psnr_db minus the same backbone without regularizer"
    plain, stem = tables.improvement(psnr), paths.TABLES / "improvement_psnr_db"
    tables.write(plain, stem, decimals=2, signed=True, notes=notes, title=f"{what} ({size})")
    sets, cases = params.data.benchmarks, list(params.suite.cases)
    for name, build in (("differences_pooled", differences.pooled), ("differences", differences.per_case)):
        over = "over all benchmarks and cases" if name == "differences_pooled" else "per benchmark and case"
        differences.write(
            build(scores, sets, cases, "psnr_db"),
            paths.TABLES / name,
            title=f"{what}, {over} ({size})",
            seeds=len(params.seeds),
            notes=notes[:1],
        )


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


def _analyses(params: Params, cells: Cells, psnr: pd.DataFrame, size: str) -> None:
    """Tables and figures of what the analyse stage and the learning curves hold."""
    curves = analyses.read(cells, paths.CURVES, "")
    weights = {name: params.reg.settings[name].weight for name in params.reg.names}
    costs = analyses.read(cells, paths.ANALYSIS, "cost")
    analyses.cost(costs, psnr, paths.TABLES / "training_cost", title=f"Cost of training and score ({size})")
    title = f"The regularizers at work ({size})"
    analyses.regularizers(curves, weights, paths.TABLES / "regularizers", title=title)
    analysis_figures.regularizers_at_work(curves, paths.FIGURES / "regularizers", title=title)
    entropy = analyses.read(cells, paths.ANALYSIS, "channel_entropy")
    title = f"How evenly channels share out the frequencies ({size})"
    analysis_figures.channel_entropy(entropy, paths.FIGURES / "channel_entropy", title=title)
    if not any(indices.read_index(name).images for name in params.data.benchmarks):
        return  # no image, no crops
    separation = analyses.read(cells, paths.ANALYSIS, "separation")
    title = f"Do features tell degradations apart? ({size})"
    analyses.representation(separation, paths.TABLES / "representation", title=title)
    analysis_figures.separation(separation, paths.FIGURES / "separation", title=title)
    planes = analyses.read(cells, paths.ANALYSIS, "plane")
    analysis_figures.planes(planes, paths.FIGURES / "planes", title=f"t-SNE planes of deep features ({size})")
    strengths = analyses.read(cells, paths.ANALYSIS, "interaction")
    title = f"Interaction of neighbouring patches ({size})"
    analyses.interaction(strengths, paths.TABLES / "interaction", title=title)
    analysis_figures.interaction(strengths, paths.FIGURES / "interaction", title=title)


def _publish(params: Params) -> None:
    """The tables as artifacts of one MLflow run per grid, so that the server shows them too."""
    grid = f"{'+'.join(params.backbone.names)}-{'+'.join(params.reg.names)}"
    with tracking.open_run(f"report-{params.profile}", f"report-{params.profile}-{grid}", {"grid": grid}) as run:
        run.artifacts(paths.TABLES)
