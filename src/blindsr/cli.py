"""`blindsr`: a sub-command per stage of dvc.yaml and per app."""

from pathlib import Path
from typing import Annotated

import typer

from blindsr import __version__
from blindsr.apps import arguments, examples, suite_command
from blindsr.apps.leaderboard import command_line as leaderboard_command
from blindsr.config import conf
from blindsr.config.params import read
from blindsr.config.run import Run
from blindsr.runtime import command
from blindsr.runtime.errors import UserError

app = typer.Typer(
    name="blindsr",
    cls=command.Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Blind super-resolution: the stages of the pipeline (`dvc repro` calls them) and tools around it.",
    epilog=examples.STATUSES,
)
runs = typer.Typer(no_args_is_help=True, help="Runs in MLflow.")
app.add_typer(runs, name="runs")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"blindsr {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def params() -> None:
    """Compose conf/ into params.yaml, which the stages read."""
    conf.write(Path("conf"), Path("params.yaml"))
    read()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def repro(
    context: typer.Context,
) -> None:
    """Rebuild what is not up to date, as `dvc repro` does with the same arguments, and show the results."""
    from blindsr.apps import repro

    repro.run(context.args)


@app.command()
def fetch(
    status: Annotated[
        bool, typer.Option("--status", help="List every set: what is here, how to get the rest.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no host.")] = False,
) -> None:
    """Stage: get and verify the data sets."""
    if status:
        from blindsr.apps import data

        data.print_status(read())
        return
    from blindsr.stages import fetch

    fetch.run(read(), offline=offline)


@app.command()
def patches() -> None:
    """Stage: cut the training images."""
    from blindsr.stages import patches

    patches.run(read())


@app.command()
def degrade() -> None:
    """Stage: make the LR images of the test suite."""
    from blindsr.stages import degrade

    degrade.run(read())


@app.command()
def train(
    backbone: str,
    reg: str,
    seed: int,
    replay: Annotated[bool, typer.Option("--replay", help="Show the batch whose loss was not finite.")] = False,
) -> None:
    """Stage: train one run, on the devices of `runtime`, or as one process of a torchrun."""
    from blindsr.stages import train

    (train.replay if replay else train.run)(read(), Run(backbone, reg, seed))


@app.command()
def evaluate(run: arguments.RunName) -> None:
    """Stage: score one run on the test suite."""
    from blindsr.stages import evaluate

    evaluate.run(read(), Run.parse(run))


@app.command()
def analyse(run: arguments.RunName) -> None:
    """Stage: analyse the features and spectra of one run."""
    from blindsr.stages import analyse

    analyse.run(read(), Run.parse(run))


@app.command()
def gallery() -> None:
    """Stage: crops of the images with the largest and the median difference, by every network."""
    from blindsr.stages import gallery

    gallery.run(read())


@app.command()
def report(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder with params.yaml, index, scores, curves and analysis (default: the project)."),
    ] = None,
) -> None:
    """Stage: tables, verdicts, figures and the page from all scores."""
    from blindsr.stages import report

    if folder is None:
        report.run(read())
    else:
        report.run(read(folder / "params.yaml"), folder, folder / "index")


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(help="Folder of HR images; or, with --against, a CSV of scores.")],
    model: arguments.Model = "",
    against: arguments.Against = "",
    cases: arguments.Cases = "",
    metrics: arguments.Metrics = "",
    scale: arguments.ModelScale = None,
    tile: Annotated[str, typer.Option(help="LR pixels of a tile's side, auto (bounded memory) or none.")] = "auto",
    overlap: arguments.Overlap = None,
    device: arguments.Device = "auto",
    threads: arguments.Threads = None,
    lpips_trunk: Annotated[Path | None, typer.Option(help="AlexNet weights of LPIPS.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row per image and case.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write means and rows.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    trust: arguments.Trust = False,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="The folder holds photos without HR images: upscale them as they are.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download-weights", help="Let pyiqa fetch the weights of its metrics.")
    ] = False,
) -> None:
    """Score any network on any HR images, degraded in the cases of the test suite."""
    from blindsr.apps import score

    of_files = folder.suffix == ".csv" and not folder.is_dir()
    if of_files and (model or not against):
        told = "leave --model out" if model else "add --against OTHER.csv"
        raise UserError(f"{folder} is a file: to compare the scores in it, {told}; to score a network, name a folder")
    if of_files:
        from blindsr.apps import score_against

        score_against.of_files(folder, Path(against))
        return
    if not model:
        raise typer.BadParameter("give the network to score: a run, bicubic, or a file", param_hint="--model")
    with arguments.cores(threads):
        score.run(
            folder, model, against=against or None, cases=arguments.listed(cases), metrics=arguments.listed(metrics),
            scale=scale, tile=arguments.tile(tile), overlap=overlap, device=device, lpips_trunk=lpips_trunk, csv=csv,
            as_json=json, overwrite=overwrite, trust=trust, unpaired=unpaired, download=download,
        )  # fmt: skip


app.command()(leaderboard_command.leaderboard)
app.command()(suite_command.suite)


@app.command()
def upscale(
    photos: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files, folders or glob patterns.")],
    model: arguments.Model,
    scale: arguments.ModelScale = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder, or for one photo the file, to write; else NAME_x4 (_x2, _x3) beside the input."),
    ] = None,
    tile: Annotated[
        str, typer.Option(help="LR pixels of a tile's side, auto (by the free memory) or none.")
    ] = "auto",
    overlap: arguments.Overlap = None,
    device: arguments.Device = "auto",
    threads: arguments.Threads = None,
    format: Annotated[
        str | None, typer.Option(help="png (default; lossless), jpg or webp (quality 95), or same as the input.")
    ] = None,
    alpha: Annotated[bool, typer.Option(help="Upscale transparency, or drop it.")] = True,
    compare: Annotated[bool, typer.Option("--compare", help="Write a side-by-side PNG and an HTML slider.")] = False,
    trust: arguments.Trust = False,
) -> None:
    """Upscale your own photos with a trained network."""
    from blindsr.apps.photos import upscale

    with arguments.cores(threads):
        upscale.run(
            photos, model, scale=scale, out=out, tile=arguments.tile(tile), overlap=overlap, device=device,
            format=format, alpha=alpha, compared=compare, trust=trust, threads=threads,
        )  # fmt: skip


@app.command()
def export(
    model: arguments.Trained,
    to: Annotated[str, typer.Option(help="safetensors, onnx or torchscript.")],
    out: Annotated[Path | None, typer.Option(help="File to write; else in exports/MODEL/.")] = None,
) -> None:
    """Write a trained network for other tools, with a model card."""
    from blindsr.apps import export

    export.run(model, to, out)


@app.command()
def grid(
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time altogether (default: GPUs × --per-device; the CPU is one device)."),
    ] = None,
    per_device: Annotated[int, typer.Option("--per-device", min=1, help="Runs at a time on one GPU.")] = 1,
    plan: Annotated[bool, typer.Option("--plan", help="Only show runs, operations and expected hours.")] = False,
    slurm: Annotated[bool, typer.Option("--slurm", help="Submit the runs as jobs of a SLURM cluster.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of submitit's executor, such as timeout_min=1440.")
    ] = None,
) -> None:
    """Make all unfinished runs, side by side: a `dvc repro` of each."""
    if plan:
        from blindsr.apps import plan as plans

        plans.show(read())
    elif slurm:
        from blindsr.apps import cluster

        if per_device > 1:
            raise UserError("--per-device is for this machine's GPUs: with --slurm each run is a job of its own")
        cluster.submit(read(), jobs or 1, cluster.parse(settings or []))
    else:
        from blindsr.apps import grid as grids

        grids.run(read(), jobs, per_device)


@app.command()
def verify(
    quick: Annotated[bool, typer.Option("--quick", help="Only dvc.lock and small outputs, in seconds.")] = False,
    accept: Annotated[Path | None, typer.Option(help="Take this output as it is: dvc.lock has another.")] = None,
) -> None:
    """Find damage in dvc.lock, cache, workspace and saved state, and repair it; status 2 if there was any."""
    from blindsr.apps import verify

    verify.run(quick=quick, accepted=accept)


@runs.command()
def sync(tracking_uri: arguments.Server = None) -> None:
    """Publish every run, recorded curve, score and table that MLflow does not have yet."""
    from blindsr.apps import runs

    runs.sync(read(as_made=True), tracking_uri)


@runs.command("export")
def export_runs(
    out: Annotated[Path, typer.Argument(help="CSV to write.")] = Path("exports/runs.csv"),
    tracking_uri: arguments.Server = None,
) -> None:
    """Write all runs as one CSV: a row each, with settings, scores and tags."""
    from blindsr.apps import runs

    runs.export(out, tracking_uri)


@runs.command()
def watch(
    tracking_uri: arguments.Server = None,
    once: Annotated[bool, typer.Option("--once", help="Print one table, and end.")] = False,
) -> None:
    """Show the runs that train now: how far, how fast, and how good they are."""
    from blindsr.apps import watch

    watch.run(tracking_uri, once=once)


@runs.command()
def ui(port: int = 5000) -> None:
    """Open the MLflow server on this project's runs."""
    from blindsr.apps import runs

    runs.ui(port)


examples.attach(app)


def main() -> None:
    """Entry point: a UserError is one line on stderr and its exit status (2), never a traceback."""
    command.run(app)
