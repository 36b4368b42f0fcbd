"""degrade: the LR images of the test suite, every benchmark under every case."""

from functools import partial

import cv2

from blindsr.config.params import Params
from blindsr.data import images, indices, lr_sums, suite
from blindsr.data.indices import IndexedImage
from blindsr.runtime import files, parallel, paths
from blindsr.runtime.errors import UserError
from blindsr.runtime.progress import Bar


def run(params: Params) -> None:
    """Write data/lr/<benchmark>/<case>/<image>.png, and their hashes. A missing benchmark is left out, as fetch said.

    Args:
        params: Settings of the project.

    Raises:
        UserError: that counts the images that could not be degraded, after the others; each is named in a line.
    """
    paths.LR.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)  # the images run in parallel
    found = [indices.read_index(name) for name in params.data.benchmarks]
    work = [(index.name, image) for index in found if not index.is_real for image in index.images]  # real LR is there
    for benchmark in {benchmark for benchmark, _ in work}:
        for case in params.suite.cases:
            (paths.LR / benchmark / case).mkdir(parents=True, exist_ok=True)
    bad, sums = 0, dict[str, str]()
    with Bar("degrade", len(work) * len(params.suite.cases)) as bar:
        for made in parallel.map_ordered(partial(_degrade, params), work, parallel.usable_cores()):
            if isinstance(made, UserError):
                bar.say(f"error: {made}")
                bad += 1
            else:
                sums |= made
            bar.advance(len(params.suite.cases))
    if bad:
        raise UserError(f"{bad} of {len(work)} images are not degraded (named above): fix them, then `dvc repro`")
    lr_sums.write(sums)


def _degrade(params: Params, item: tuple[str, IndexedImage]) -> dict[str, str] | UserError:
    """All cases of one image: the hash of each, or what is wrong with the image."""
    benchmark, image = item
    try:
        path = indices.set_folder(benchmark, params.data.roots) / image.file
        indices.require_same(path, image.sha256)
        hr = images.read_hr(path)
    except UserError as error:
        return error
    try:
        lrs = suite.degrade_suite(hr, params.suite, benchmark, image.name, params.scale)
    except UserError as error:
        return UserError(f"{benchmark}/{image.file}: {error}")
    sums = {}
    for case, lr in lrs.items():
        made = paths.LR / benchmark / case / f"{image.name}.png"
        images.write_png(made, lr)
        sums[lr_sums.name(made)] = files.sha256(made)
    return sums
