"""`blindsr suite`, for `cli`: nothing heavy is imported before it is called."""

from pathlib import Path
from typing import Annotated

import typer

from blindsr.apps import arguments
from blindsr.runtime.errors import UserError


def suite(
    folder: Annotated[Path | None, typer.Argument(help="Folder of HR images.")] = None,
    out: Annotated[Path | None, typer.Argument(help="Folder to write the LR images to.")] = None,
    cases: arguments.Cases = "",
    scale: Annotated[
        int | None, typer.Option(min=1, help="Factor between HR and LR (default: the project's, or 4).")
    ] = None,
    sealed: Annotated[
        str | None, typer.Option(metavar="SEED", help="Other strengths, drawn by this text; prints their hash.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Check a suite written before, and with FOLDER the decoder, too.")
    ] = None,
    threads: arguments.Threads = None,
) -> None:
    """Write the LR images of the test suite for any HR images, with a manifest of hashes and versions."""
    from blindsr.apps import suite as app

    if verify:
        app.verify(verify, folder)
    elif folder and out:
        app.write(folder, out, cases=arguments.listed(cases), scale=scale, secret=sealed, threads=threads)
    else:
        raise UserError("name the folder of HR images and the one to write to, or --verify a suite")
