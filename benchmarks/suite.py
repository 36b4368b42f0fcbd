"""The test suite of an image: all cases together against each case from the start."""

import cv2
import numpy as np

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare
from blindsr.data import suite
from blindsr.data.images import RGB


def run(quick: bool) -> list[Result]:
    """Eight cases of the photos, one thread; not in it is writing PNG files, which both would do alike."""
    photos = inputs.photos()[: 1 if quick else None]
    different = 0
    for number, photo in enumerate(photos):
        together = suite.degrade_suite(photo, suite.PAPER, "bench", str(number))
        different += sum(
            not np.array_equal(together[case], lr) for case, lr in _one_by_one(photo, str(number)).items()
        )
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return [
            compare(
                "suite",
                f"eight cases of {len(photos)} photos",
                Bound(">=", 1.5),
                [Check("LR images that differ", different, Bound("<=", 0))],
                1 if quick else 11,
                lambda: [_one_by_one(photo, "a") for photo in photos],
                lambda: [suite.degrade_suite(photo, suite.PAPER, "bench", "a") for photo in photos],
            )
        ]
    finally:
        cv2.setNumThreads(threads)


def _one_by_one(photo: RGB, name: str) -> dict[str, RGB]:
    cases = suite.PAPER.cases
    return {
        case: suite.degrade_case(photo, settings, suite.case_generator(suite.PAPER.seed, "bench", case, name))
        for case, settings in cases.items()
    }
