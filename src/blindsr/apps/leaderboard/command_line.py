"""`blindsr leaderboard`, for `cli`: nothing heavy is imported before it is called."""

from pathlib import Path
from typing import Annotated

import typer

from blindsr.apps import arguments


def leaderboard(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Files, trained runs, bicubic, bilinear, lanczos, or YAML lists of them with titles and links.",
        ),
    ],
    on: Annotated[str, typer.Option(help="With commas between: data sets of the project, NAME=FOLDER, or folders.")],
    cases: arguments.Cases = "",
    scale: Annotated[
        int | None, typer.Option(min=1, help="Only models of this scale; without it, each scale has its own ranks.")
    ] = None,
    by: Annotated[str, typer.Option(help="Metric that ranks the models.")] = "psnr_db",
    metrics: Annotated[
        str,
        typer.Option(
            help="Of the tables, with commas between, as for `blindsr score`; without, PSNR, SSIM, LPIPS and what "
            "the detail is like."
        ),
    ] = "",
    sealed: Annotated[
        str | None,
        typer.Option(metavar="SEED", help="A secret text: the cases get other strengths, and their hash is shown."),
    ] = None,
    timing: Annotated[bool, typer.Option("--timing", help="Measure seconds per megapixel, too.")] = False,
    title: Annotated[str, typer.Option(help="Of the page.")] = "Leaderboard",
    out: Annotated[Path, typer.Option(help="Folder of leaderboard.csv, leaderboard.md and index.html.")] = Path(
        "exports/leaderboard"
    ),
    cache: Annotated[Path, typer.Option(help="Folder that keeps every score.")] = Path(".leaderboard"),
    device: arguments.Device = "auto",
    lpips_trunk: Annotated[Path | None, typer.Option(help="AlexNet weights of LPIPS.")] = None,
    trust: arguments.Trust = False,
    threads: arguments.Threads = None,
) -> None:
    """Rank many models on many sets of images; each is scored once."""
    from blindsr.apps.leaderboard import leaderboard as app

    with arguments.cores(threads):
        app.run(
            models,
            arguments.listed(on),
            app.Options(
                cases=arguments.listed(cases),
                scale=scale,
                by=by,
                metrics=tuple(dict.fromkeys(arguments.listed(metrics))) or app.METRICS,
                sealed=sealed,
                timed=timing,
                title=title,
                out=out,
                cache=cache,
                device=device,
                lpips_trunk=lpips_trunk,
                trust=trust,
            ),
        )
