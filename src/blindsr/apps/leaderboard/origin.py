"""What a leaderboard was made of and with, so that anyone can tell whether theirs is the same."""

import platform
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from blindsr.acquisition.folder import HrFolder
from blindsr.apps import sealed, suite_manifest
from blindsr.apps.leaderboard.scoring import Settings
from blindsr.config.schema import CaseParams, SuiteParams
from blindsr.data import images, suite
from blindsr.runtime import files, parallel
from blindsr.runtime.errors import UserError


class SetOrigin(NamedTuple):
    """One set of images at one scale."""

    name: str
    scale: int
    images: int
    hr: str
    """SHA-256 of the pixels of all HR images."""
    lr: str
    """SHA-256 of the pixels of all LR images in all cases: equal ones were made of the same pixels."""


class Origin(NamedTuple):
    """What the numbers rest on; no names of places on this machine."""

    sets: list[SetOrigin]
    cases: dict[str, str]
    """Case -> its strengths in words; empty words where they are sealed."""
    sealed: str
    """Where the strengths were drawn, in words; empty for the public suite."""
    suite: str
    """SHA-256 of cases, strengths and seed."""
    trunk: str
    """SHA-256 of the weights of LPIPS; empty without."""
    versions: dict[str, str]


def describe(settings: Settings, scales: list[int], is_sealed: bool) -> Origin:
    """Hash what was scored.

    Args:
        settings: What was asked of every model.
        scales: Of the boards.
        is_sealed: The strengths of the suite stay unsaid.

    Returns:
        What the numbers rest on.
    """
    sets = [_digest(source, settings.chosen, scale) for scale in scales for source in settings.sources]
    cases = {name: "" if is_sealed else _words(case) for name, case in settings.chosen.cases.items()}
    drawn = f"each strength is drawn from {sealed.ranges()}" if is_sealed else ""
    trunk = files.sha256(settings.trunk) if settings.trunk else ""
    versions = suite_manifest.versions() | {"torch": torch.__version__, "python": platform.python_version()}
    return Origin(sets, cases, drawn, sealed.digest(settings.chosen), trunk, versions)


def _words(case: CaseParams) -> str:
    parts = [
        f"blur sigma {case.blur.sigma:g} HR px" if case.blur else "",
        f"noise sigma {case.noise_sigma:g}" if case.noise_sigma else "",
        f"JPEG quality {case.jpeg_quality}" if case.jpeg_quality else "",
    ]
    return ", ".join(filter(None, parts)) or "bicubic downscaling alone"


def _digest(source: HrFolder, chosen: SuiteParams, scale: int) -> SetOrigin:
    """An image that cannot be read or degraded is in no hash; its scores are missing, and that is said."""
    make = partial(_image, source.name, chosen, scale)
    made = parallel.map_ordered(make, source.files.items(), parallel.usable_cores())
    found = {name: hashes for name, hashes in made if hashes}
    hr, lr = ({name: each[part] for name, each in found.items()} for part in (0, 1))
    return SetOrigin(source.name, scale, len(found), files.key(hr), files.key(lr))


def _image(
    benchmark: str, chosen: SuiteParams, scale: int, item: tuple[str, Path]
) -> tuple[str, tuple[str, dict[str, str]] | None]:
    name, path = item
    try:
        hr = images.read_hr(path)
        lrs = suite.degrade_suite(hr, chosen, benchmark, name, scale)
    except UserError:
        return name, None
    return name, (suite_manifest.pixels(hr), {case: suite_manifest.pixels(lr) for case, lr in lrs.items()})
