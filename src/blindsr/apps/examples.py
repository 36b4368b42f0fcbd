"""An example of each command, which its help ends with; and what the exit statuses mean."""

import typer

EXAMPLES: dict[str, list[str]] = {
    "params": ["blindsr params"],
    "repro": ["blindsr repro", "blindsr repro train@srresnet-rff-0"],
    "fetch": ["blindsr fetch --status", "blindsr fetch"],
    "patches": ["blindsr patches"],
    "degrade": ["blindsr degrade"],
    "train": ["blindsr train srresnet rff 0"],
    "evaluate": ["blindsr evaluate srresnet-rff-0", "blindsr evaluate bicubic"],
    "analyse": ["blindsr analyse srresnet-rff-0"],
    "gallery": ["blindsr gallery"],
    "report": ["blindsr report", "blindsr report reports/reference"],
    "score": [
        "blindsr score photos/ --model bicubic",
        "blindsr score photos/ --model mine.pth --cases clean,b+n+j --csv scores.csv",
        "blindsr score photos/ --model srresnet-rff-0 --against srresnet-none-0",
        "blindsr score mine.csv --against theirs.csv",
    ],
    "leaderboard": [
        "blindsr leaderboard bicubic mine.pth --on photos/",
        "blindsr leaderboard models.yaml --on Set5,Set14,BSD100 --out board/",
    ],
    "suite": ["blindsr suite photos/ lr/", "blindsr suite photos/ --verify lr/"],
    "upscale": [
        "blindsr upscale photo.jpg --model srresnet-rff-0 --compare",
        "blindsr upscale photos/ --model RealESRGAN_x4plus.pth --out big/",
    ],
    "export": ["blindsr export srresnet-rff-0 --to onnx", "blindsr export weights.safetensors --to torchscript"],
    "grid": ["blindsr grid --plan", "blindsr grid --jobs 4", "blindsr grid --slurm --set timeout_min=1440"],
    "verify": ["blindsr verify --quick"],
    "runs sync": ["blindsr runs sync --tracking-uri http://mlflow.example.org:5000"],
    "runs export": ["blindsr runs export runs.csv"],
    "runs watch": ["blindsr runs watch"],
    "runs ui": ["blindsr runs ui --port 5001"],
}
"""Command, with its group before it -> lines for a shell."""

STATUSES = (
    "Exit status: 0, all is done. 2, something that you can put right: the last line says what and how, and what "
    "could be done without it is done. 1, a fault of this program. 130 (Ctrl-C) and 143 (SIGTERM), stopped: the last "
    "line says how to go on."
)


def attach(app: typer.Typer, before: str = "") -> None:
    """Give the commands of an application their examples, which end their help.

    Args:
        app: With all of its commands.
        before: Its own name and a space, where it is a group of another one.
    """
    for command in app.registered_commands:
        name = command.name or str(getattr(command.callback, "__name__", ""))
        lines = EXAMPLES.get(f"{before}{name}", [])
        if lines:  # an empty line between two keeps them apart
            command.epilog = "\n\n".join(["Example:" if len(lines) == 1 else "Examples:", *lines])
    for group in app.registered_groups:
        if group.typer_instance:
            attach(group.typer_instance, f"{before}{group.name} ")
