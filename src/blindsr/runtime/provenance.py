"""Which code makes a thing: the rooms of each stage, as dvc.yaml names them, and their hash.

A room is a folder of the package. `runtime`, `config` and `foreign` are in no stage's list: they decide no result
(what foreign weights a training starts from is known by the hash of their file).
"""

import hashlib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_MODEL = ("model", "data", "plugins/backbones/base.py", "plugins/backbones/{backbone}.py")
_METRICS = ("plugins/metrics", "plugins/alexnet.py")
_SCORED = ("apps/folder_scores.py", "evaluation", "model", "data", "foreign", "plugins/backbones", *_METRICS)
CODE: dict[str, tuple[str, ...]] = {
    "fetch": ("stages/fetch.py", "acquisition", "data"),
    "patches": ("stages/patches.py", "acquisition", "data"),
    "degrade": ("stages/degrade.py", "data"),
    "train": (
        "stages/train.py",
        "training",
        *_MODEL,
        "plugins/regularizers/base.py",
        "plugins/regularizers/operators",
        "plugins/regularizers/{reg}.py",
        "plugins/degradations/base.py",
        "plugins/degradations/operators",
        "plugins/degradations/{degradation}.py",
        "plugins/losses",
        "plugins/metrics/base.py",
        "plugins/metrics/operators",
        "plugins/alexnet.py",
    ),
    "batches": (
        "training/samples.py",
        "data",
        "plugins/degradations/base.py",
        "plugins/degradations/operators",
        "plugins/degradations/{degradation}.py",
    ),
    "evaluate": ("stages/evaluate.py", "evaluation", *_MODEL, *_METRICS),
    "analyse": (
        "stages/analyse.py",
        "analysis",
        *_MODEL,
        "plugins/regularizers/base.py",
        "plugins/regularizers/operators",
        "plugins/regularizers/{reg}.py",
    ),
    "gallery": (
        "stages/gallery.py",
        "evaluation",
        "model",
        "data",
        "plugins/backbones",
        *_METRICS,
        "reporting",
    ),
    "report": ("stages/report.py", "reporting", "data", "plugins/metrics"),
    "score": ("apps/score.py", *_SCORED),
    "leaderboard": _SCORED,
}
"""Stage, app or part of a stage -> what decides its result: its module, rooms, and the plug-ins of its run."""


def code_digest(stage: str, **plugins: str) -> str:
    """Hash of the code that decides what a stage computes: state that other code wrote is never resumed.

    Args:
        stage: a key of CODE.
        **plugins: the run's plug-ins by the placeholders of CODE, such as backbone="srresnet".

    Returns:
        8 hexadecimal digits; the same in every command, whatever it has imported.
    """
    digest = hashlib.sha256()
    for place in CODE[stage]:
        path = _PACKAGE / place.format(**plugins)
        for file in [path] if path.suffix else sorted(path.rglob("*.py")):
            digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:8]
