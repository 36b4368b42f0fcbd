"""Scores of a network on folders of HR images in the cases of a suite: what `score` and `leaderboard` share."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from blindsr.acquisition import folder
from blindsr.acquisition.folder import HrFolder
from blindsr.config.params import Params
from blindsr.config.schema import CaseParams, SuiteParams
from blindsr.data import images, indices, suite
from blindsr.data.images import RGB
from blindsr.data.pairs import REAL
from blindsr.evaluation import scoring
from blindsr.evaluation.journal import Journal
from blindsr.evaluation.scoring import Job, Key, Loaded, Measure, Score
from blindsr.runtime import files
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar

UNPAIRED = SuiteParams.model_construct(seed=0, cases={REAL: CaseParams()})
"""In the place of a suite, for photos that are upscaled as they are: their one case degrades nothing."""


class Work(NamedTuple):
    """What is to be scored. The images are HR ones, or under `UNPAIRED` what a network is to enlarge."""

    sources: Sequence[HrFolder]
    chosen: SuiteParams
    scale: int
    stamps: Mapping[Key, str]
    """Of each score that is wanted, as from `stamps`."""


def trunk_of(given: Path | None, project: Params | None) -> tuple[Path | None, str]:
    """Find LPIPS' trunk.

    Args:
        given: File of AlexNet's weights that the user named.
        project: Whose own is taken without it, if it was fetched.

    Returns:
        The file or None, and what to do to have it.
    """
    if project and not given:
        with contextlib.suppress(UserError):  # nothing was fetched
            given, _ = indices.trunk_file(project.data.lpips_trunk, project.data.roots)
    return given, "give AlexNet's with --lpips-trunk"


def content(path: Path) -> str:
    """Hash of a file; empty for what is no readable file, as the name bicubic is none."""
    try:
        return files.sha256(path)
    except OSError:
        return ""


def stamps(sources: Sequence[HrFolder], chosen: SuiteParams, determining: Any) -> dict[Key, str]:
    """Say what each score is of: a score that was made of other things has another stamp.

    Args:
        sources: Folders of HR images, each of another name.
        chosen: The cases.
        determining: Plain values of everything else that decides the scores: weights, settings, code.

    Returns:
        Key -> stamp, case by case in each folder.
    """
    found: dict[Key, str] = {}
    for source in sources:
        contents = {name: content(path) for name, path in source.files.items()}
        found |= {
            Key(source.name, case, name): files.key([determining, degraded.model_dump(), contents[name]])[:16]
            for case, degraded in chosen.cases.items()
            for name in source.files
        }
    return found


def score(
    work: Work,
    upscale: Callable[[Sequence[RGB]], Iterator[RGB]],
    measure: Measure,
    done: Mapping[tuple[Key, str], Score],
    journal: Journal | None,
    *,
    label: str = "score",
    quiet: bool = False,
) -> tuple[dict[Key, Score], list[str]]:
    """Score what is not done yet.

    Args:
        work: What is wanted.
        upscale: As for `scoring.score`.
        measure: Likewise.
        done: Scores by key and stamp.
        journal: Gets each new one.
        label: Of the progress bar.
        quiet: Say nothing of single images.

    Returns:
        The scores of all images, and a line for each problem.

    Raises:
        UserError: where the journal cannot be written.
    """
    rows = {key: done[key, stamp] for key, stamp in work.stamps.items() if (key, stamp) in done}
    jobs, paths = [], []
    for source in work.sources:
        for name, path in source.files.items():
            wanted = [Key(source.name, case, name) for case in work.chosen.cases]
            keys = [key for key in wanted if key in work.stamps and key not in rows]
            paths.append(path)
            if keys:
                cases = work.chosen.model_copy(
                    update={"cases": {key.case: work.chosen.cases[key.case] for key in keys}}
                )
                jobs.append(Job(keys, partial(_load, path, keys, cases, work.scale)))
    lines = []
    with Bar(label, len(work.stamps), start=len(rows)) as bar:
        for path in [] if quiet else paths:
            if folder.is_grey(path):
                bar.say(f"note: {path} is greyscale: scored as RGB with three equal channels")
        for result in scoring.score(jobs, upscale, measure):
            rows |= {score.key: score for score in result.scores}
            if journal:
                journal.append((work.stamps[score.key], score) for score in result.scores)
            for error in result.errors:
                lines.append(str(error))
                if not quiet:
                    bar.say(f"error: {error}")
            bar.advance(len(result.job.keys))
    return rows, lines


def _load(path: Path, keys: Sequence[Key], cases: SuiteParams, scale: int) -> Loaded:
    """An HR image, mod-cropped, and its LR image of each case; or an LR image that has none."""
    if list(cases.cases) == [REAL]:
        return Loaded(None, {keys[0]: images.read_rgb(path)}, [])
    hr = images.read_hr(path)
    try:
        lrs = suite.degrade_suite(hr, cases, keys[0].benchmark, keys[0].image, scale)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    height, width = (side // scale * scale for side in hr.shape[:2])
    return Loaded(hr[:height, :width], {key: lrs[key.case] for key in keys}, [])
