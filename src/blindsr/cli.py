"""`blindsr`: a sub-command per stage of dvc.yaml and per app."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from blindsr import conf, files
from blindsr.errors import UserError
from blindsr.params import read

app = typer.Typer(
    name="blindsr",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Blind super-resolution: the stages of the pipeline (`dvc repro` calls them) and tools around it.",
)
runs = typer.Typer(no_args_is_help=True, help="Runs in MLflow.")
app.add_typer(runs, name="runs")

Cell = Annotated[str, typer.Argument(help="BACKBONE-REG-SEED, such as srresnet-rff-0, or bicubic.")]


@app.command()
def params() -> None:
    """Compose conf/ into params.yaml, which the stages read."""
    from omegaconf import OmegaConf

    composed = conf.compose(Path("conf"))
    files.write_atomic(Path("params.yaml"), OmegaConf.to_yaml(OmegaConf.create(composed)))
    read()


@app.command()
def fetch() -> None:
    """Stage: get and verify the data sets."""
    from blindsr.stages import fetch

    fetch.run(read())


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
    """Stage: train one cell, on the devices of `runtime`, or as one process of a torchrun."""
    from blindsr.stages import train

    (train.replay if replay else train.run)(read(), backbone, reg, seed)


@app.command()
def evaluate(cell: Cell) -> None:
    """Stage: score one cell on the test suite."""
    from blindsr.stages import evaluate

    evaluate.run(read(), cell)


@app.command()
def analyse(cell: Cell) -> None:
    """Stage: analyse the features and spectra of one cell."""
    from blindsr.stages import analyse

    analyse.run(read(), cell)


@app.command()
def report() -> None:
    """Stage: tables, figures and metrics from all scores."""
    from blindsr.stages import report

    report.run(read())


@app.command()
def grid(
    jobs: Annotated[int, typer.Option(min=1, help="Cells at a time, each on one GPU if there are any.")] = 1,
    plan: Annotated[bool, typer.Option("--plan", help="Only show cells, operations and expected hours.")] = False,
    slurm: Annotated[bool, typer.Option("--slurm", help="Submit the cells as jobs of a SLURM cluster.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of submitit's executor, such as timeout_min=1440.")
    ] = None,
) -> None:
    """Make all unfinished cells, side by side: a `dvc repro` of each."""
    if plan:
        from blindsr.apps import plan as plans

        plans.show(read())
    elif slurm:
        from blindsr.apps import cluster

        cluster.submit(read(), jobs, cluster.parse(settings or []))
    else:
        from blindsr.apps import grid as grids

        grids.run(read(), jobs)


@runs.command()
def sync() -> None:
    """Publish every recorded curve and score that MLflow does not have yet."""
    from blindsr.apps import runs

    runs.sync(read())


@runs.command()
def ui(port: int = 5000) -> None:
    """Open the MLflow server on this project's runs."""
    from blindsr.apps import runs

    runs.ui(port)


def main() -> None:
    """Entry point: a UserError is one line on stderr and its exit status (2), never a traceback."""
    console = Console(stderr=True)
    handler = RichHandler(console=console, show_time=False, show_path=False, show_level=True)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        sys.exit(130)
