"""suite: the LR images of the test suite for any folder of HR images, with a manifest that pins every pixel.

The same bytes come out on every machine with the same versions of Pillow, OpenCV and NumPy. Where another version
decodes, blurs or compresses differently, the manifest's hashes say so, and of what.
"""

import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
from PIL import Image

from blindsr.acquisition import folder
from blindsr.acquisition.folder import HrFolder
from blindsr.apps import models, sealed, suite_manifest
from blindsr.apps.suite_manifest import MANIFEST, HrEntry, LrEntry, SuiteManifest, pixels
from blindsr.config import params
from blindsr.config.schema import SuiteParams
from blindsr.data import images, suite
from blindsr.data.images import RGB
from blindsr.runtime import escaping, files, parallel
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar


def write(
    hr_folder: Path,
    out: Path,
    *,
    cases: Sequence[str] = (),
    scale: int | None = None,
    secret: str | None = None,
    threads: int | None = None,
) -> None:
    """Write <out>/<case>/<image>.png for every image of `hr_folder` and every case, and <out>/manifest.json.

    Without `scale` it is that of the project in the working directory, or 4; without `threads`, as many images are
    made at a time as there are cores. With a `secret` the strengths of the cases are drawn (`sealed`), and their hash
    is printed. Where `out` holds a suite already, the same must come out again: else nothing is changed, and the
    difference is said. Raises UserError for that, for wrong arguments, and, after the other images are written, for
    images that cannot be read.
    """
    project = params.find()
    scale = scale or models.default_scale(project)
    chosen = suite.select(project.suite if project else suite.PAPER, cases)
    if secret is not None:
        chosen = sealed.draw(chosen, secret)
        print(f"suite: SHA-256 {sealed.digest(chosen)}")
    source = folder.open_folder(hr_folder)
    if out.is_file():
        raise UserError(f"{out} is a file: name the folder to write to")
    if out.resolve() == hr_folder.resolve():
        raise UserError(f"{out} is the folder of the HR images: name another one to write to")
    old = suite_manifest.read(out) if (out / MANIFEST).exists() else None
    if old and (old.suite, old.scale, old.benchmark) != (chosen, scale, source.name):
        raise UserError(f"{out} holds the suite of {old.benchmark} with other settings: choose another folder")
    cv2.setNumThreads(1)  # the images run in parallel
    for case in chosen.cases:
        (out / case).mkdir(parents=True, exist_ok=True)
    entries: dict[str, HrEntry] = {}
    problems = 0
    with Bar("suite", len(source.files)) as bar:
        make = partial(_make, source, chosen, scale, out, old)
        for name, entry in parallel.map_ordered(make, source.files, threads or parallel.usable_cores()):
            if isinstance(entry, UserError):
                bar.say(f"error: {entry}")
                problems += 1
            else:
                entries[name] = entry
            bar.advance()
    if old and problems == 0 and set(old.images) != set(entries):
        raise UserError(f"{out} holds a suite of other images than {hr_folder}: choose another folder")
    if entries and not old:
        manifest = SuiteManifest(
            benchmark=source.name, scale=scale, suite=chosen, versions=suite_manifest.versions(), images=entries
        )
        text = json.dumps(manifest.model_dump(), indent=1, sort_keys=True) + "\n"
        files.write_atomic(out / MANIFEST, text)
    written = f"{len(entries) * len(chosen.cases)} LR images of {len(entries)} HR images"
    print(escaping.terminal(f"{out}: {written}{' are as they were' if old else ''}"))
    if problems:
        raise UserError(f"{problems} of {len(source.files)} images are not in {out} (named above)")


def verify(out: Path, hr_folder: Path | None = None) -> None:
    """Compare a suite with its manifest: every LR file, and what this machine decodes from the HR images, if given.

    Raises UserError, after a line for each difference.
    """
    manifest = suite_manifest.read(out)
    lines = []
    with Bar("verify", len(manifest.images)) as bar:
        for name, entry in manifest.images.items():
            for lr in entry.cases.values():
                lines += _lr_problem(out / lr.file, lr)
            if hr_folder:
                lines += _hr_problem(hr_folder / entry.file, entry, manifest.versions)
            bar.advance(note=name)
    for line in lines:
        print(escaping.terminal(f"error: {line}"))
    here = suite_manifest.versions()
    changed = [
        f"{key} {manifest.versions.get(key)} (here {here[key]})"
        for key in here
        if manifest.versions.get(key) != here[key]
    ]
    if changed:
        print(escaping.terminal(f"note: {out} was made with {', '.join(changed)}"))
    if lines:
        raise UserError(f"{out} differs from its manifest in {len(lines)} places (named above)")
    print(
        f"{out}: {sum(len(entry.cases) for entry in manifest.images.values())} LR images are as their manifest says"
    )


def _make(
    source: HrFolder, chosen: SuiteParams, scale: int, out: Path, old: SuiteManifest | None, name: str
) -> tuple[str, HrEntry | UserError]:
    """Degrade one image; write it, or compare it with what was written before."""
    path = source.files[name]
    if not folder.is_text(path.name):
        return name, UserError(f"{path}: its name is not text in UTF-8, as the manifest is: rename it")
    try:
        hr = images.read_hr(path)
        lrs = suite.degrade_suite(hr, chosen, source.name, name, scale)
    except UserError as error:
        return name, error if str(path) in str(error) else UserError(f"{path}: {error}")
    cases = {}
    for case, lr in lrs.items():
        content, file = _png(lr), f"{case}/{name}.png"
        cases[case] = LrEntry(file=file, sha256=files.sha256(content), pixels=pixels(lr))
        if not old:
            files.write_atomic(out / file, content)
    entry = HrEntry(file=path.name, sha256=files.sha256(path), pixels=pixels(hr), cases=cases)
    if old and name in old.images:
        difference = _difference(entry, old.images[name], old.versions)
        if difference:
            return name, UserError(f"{path}: {difference}")
    return name, entry


def _difference(new: HrEntry, old: HrEntry, made_with: dict[str, str]) -> str | None:
    """What is no longer as it was; another compression of the same pixels is no difference."""
    if new.pixels != old.pixels:
        if new.sha256 != old.sha256:
            return "the file has changed since the suite was written: choose another folder"
        return _decoder(made_with)
    changed = [case for case, lr in new.cases.items() if lr.pixels != old.cases[case].pixels]
    if changed:
        return f"{', '.join(changed)} come out with other pixels than before: {_versions(made_with)}"
    return None


def _decoder(made_with: dict[str, str]) -> str:
    return f"the decoder differs: the same file gives other pixels than before; {_versions(made_with)}"


def _versions(made_with: dict[str, str]) -> str:
    def listed(found: dict[str, str]) -> str:
        return ", ".join(f"{key} {found.get(key)}" for key in ("pillow", "libjpeg", "opencv", "numpy"))

    return f"the suite was made with {listed(made_with)}, here are {listed(suite_manifest.versions())}"


def _lr_problem(path: Path, entry: LrEntry) -> list[str]:
    try:
        content = files.read_bytes(path)
    except FileNotFoundError:
        return [f"{path} is missing: write the suite again"]
    except OSError as error:
        return [f"{path} cannot be read ({error.strerror}): write the suite again"]
    if files.sha256(content) == entry.sha256:
        return []
    try:
        same = pixels(images.read_rgb(path)) == entry.pixels
    except UserError as error:
        return [str(error)]
    return [] if same else [f"{path} has other pixels than the manifest says: write the suite again"]


def _hr_problem(path: Path, entry: HrEntry, made_with: dict[str, str]) -> list[str]:
    try:
        if files.sha256(path) != entry.sha256:
            return [f"{path} is another file than the suite was made of"]
        same = pixels(images.read_hr(path)) == entry.pixels
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}"]
    except UserError as error:
        return [str(error)]
    return [] if same else [f"{path}: {_decoder(made_with)}"]


def _png(lr: RGB) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(lr).save(encoded, format="PNG", compress_level=6)
    return encoded.getvalue()
