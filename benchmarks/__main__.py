"""Run the benchmarks: `python -m benchmarks [NAME ...] [--quick] [--write] [--json FILE]`.

Ends with status 1 if an equality check fails; a missed target is printed as FAIL and is no error, since it
depends on the machine.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import (
    alignment,
    evaluation,
    iteration,
    jpeg,
    kernels,
    launches,
    loader,
    poisson,
    regularizers,
    report,
    score,
    step,
    suite,
    synthesis,
    upscale,
    usm,
    views,
)
from benchmarks.measure import Result
from blindsr.runtime import devices, files

TOPICS = {
    module.__name__.rpartition(".")[2]: module.run
    for module in (
        kernels, loader, usm, jpeg, poisson, synthesis, launches, alignment, regularizers, iteration, step, suite,
        views, evaluation, upscale, score,
    )
}  # fmt: skip

app = typer.Typer(add_completion=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help=", ".join(TOPICS))] = None,
    quick: Annotated[bool, typer.Option(help="Tiny sizes: the checks hold, the times mean nothing.")] = False,
    write: Annotated[bool, typer.Option(help="Write benchmarks/RESULTS.md.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every sample to this file.")] = None,
) -> None:
    """Time the product's functions against plain implementations of the same operations, in one run."""
    chosen = names or list(TOPICS)
    unknown = [name for name in chosen if name not in TOPICS]
    if unknown:
        raise typer.BadParameter(f"no benchmark {unknown[0]!r}: choose from {', '.join(TOPICS)}")
    if write and (quick or names):
        raise typer.BadParameter("--write takes neither names nor --quick: the file holds one whole run")
    devices.keep_freed_memory()  # as in training
    results: list[Result] = []
    broken = []
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            results += TOPICS[name](quick)
        except Exception as error:  # whatever it is: the others' results are worth their time
            broken.append(f"{name}: {type(error).__name__}: {error}")
            print(broken[-1], file=sys.stderr, flush=True)
    console = Console()
    if console.is_terminal:
        report.show(results, console)
    else:
        print("\n".join(report.lines(results)))
    if write and not broken:
        report.write(results)
    if json_file:
        rows = [dataclasses.asdict(result) | {"value": result.value, "verdict": result.verdict} for result in results]
        files.write_atomic(json_file, json.dumps({"machine": report.machine(), "results": rows}, indent=1) + "\n")
    failed = [check for result in results for check in result.checks if not check.passed]
    if failed:
        print(f"{len(failed)} checks failed: {'; '.join(map(str, failed))}", file=sys.stderr)
    if broken:
        print(f"not measured: {'; '.join(broken)}", file=sys.stderr)
    if failed or broken:
        raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
