"""Arguments that several commands have in common: their types, their help, and what a shell completes them to."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from blindsr.config import registry
from blindsr.config.run import CONTROLS
from blindsr.runtime import parallel, paths
from blindsr.runtime.errors import UserError


def complete_model(incomplete: str) -> list[str]:
    """What a shell offers for a model: trained runs, bicubic and bilinear, and files.

    Args:
        incomplete: What was typed of it.

    Returns:
        Everything that begins with it; of folders the name with a slash behind.
    """
    known = [*sorted(path.stem for path in paths.MODELS.glob("*-*-*.safetensors")), *CONTROLS]
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    with contextlib.suppress(OSError):
        for path in sorted(folder.expanduser().iterdir()):
            name = str(folder / path.name)
            known.append(f"{name}/" if path.is_dir() else name)
    return [name for name in known if name.startswith(incomplete)]


_MODEL = (
    "A trained run by its name, such as srresnet-rff-0; bicubic, bilinear or lanczos; or a file: weights "
    "(.safetensors, .pth), TorchScript (.pt) or .onnx."
)
Model = Annotated[str, typer.Option("--model", metavar="MODEL", help=_MODEL, autocompletion=complete_model)]
Trained = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A trained run by its name, such as srresnet-rff-0, or its .safetensors file.",
        autocompletion=complete_model,
    ),
]
Against = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="Another model (or CSV): what the difference in PSNR is made of, with intervals.",
        autocompletion=complete_model,
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="BACKBONE-REG-SEED, such as srresnet-rff-0, or bicubic.", autocompletion=complete_model
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="LR pixels of its surroundings that a tile is given (default: what the network needs, at most 64).",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run a TorchScript file though its operators are not known to be harmless, or the Python file by which "
        "the network of the weights is built.",
    ),
]
ModelScale = Annotated[
    int | None,
    typer.Option(min=1, help="Upscaling factor (default: the model's own; bicubic's: the project's, or 4)."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all cores).")]
Cases = Annotated[str, typer.Option(help="Comma-separated test cases (default: all).")]
Metrics = Annotated[
    str,
    typer.Option(
        help=f"Comma-separated: {', '.join(registry.names('metric'))}, or pyiqa_NAME of the pyiqa package (default: "
        "those of evaluate.metrics).",
    ),
]
Server = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow to use, such as http://host:5000; else where runs are tracked."),
]


def listed(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def tile(text: str) -> int | Literal["auto"] | None:
    """What --tile says: LR pixels, "auto", or None for the whole image. Raises UserError for anything else."""
    if text == "auto":
        return "auto"
    if text == "none":
        return None
    if not text.isdecimal() or not int(text):
        raise UserError(f"--tile {text}: give LR pixels, auto or none")
    return int(text)


@contextlib.contextmanager
def cores(threads: int | None) -> Iterator[int]:
    """Have torch and OpenCV use so many CPU threads inside of the block.

    Args:
        threads: Of --threads; None leaves both as they are, which is all cores.

    Yields:
        The number of threads.
    """
    if threads is None:
        yield parallel.usable_cores()
        return
    import cv2

    from blindsr.runtime import devices  # with torch, which completion is not to wait for

    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        with devices.threads(threads):
            yield threads
    finally:
        cv2.setNumThreads(before)
