"""Reading a training window: a slice of the memory map against decoding the patch that holds it.

All files are in the page cache on every side, so this is the cost of decoding, not of a disk.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare
from benchmarks.plain import patches
from blindsr.data.images import RGB
from blindsr.data.patch_store import PIXELS


def run(quick: bool) -> list[Result]:
    """Windows as training reads them, from patches of the paper's size; time, and bytes on disk."""
    side = inputs.params().train.window
    with tempfile.TemporaryDirectory() as folder:
        store = inputs.store(Path(folder) / "store")
        windows = inputs.windows()[: 3 if quick else None]
        generator = np.random.default_rng(0)
        reads = []
        for number in generator.integers(len(windows), size=10 if quick else 60).tolist():
            top = int(generator.integers(windows[number].height - side + 1))
            left = int(generator.integers(windows[number].width - side + 1))
            reads.append((number, top, left))

        def mapped(number: int, top: int, left: int) -> RGB:
            where = windows[number]
            y, x = where.top + top, where.left + left
            return np.ascontiguousarray(store.image(where.image)[y : y + side, x : x + side])

        results = []
        mapped_bytes = (Path(folder) / "store" / PIXELS).stat().st_size
        for name, encoding, target in (("PNG", patches.PNG, Bound(">=", 10)), ("lossless WebP", patches.WEBP, None)):
            place = Path(folder) / encoding[0][1:]
            encoded_bytes = patches.write(store, windows, place, encoding)

            decoded = partial(patches.read_window, place, encoding, side)

            wrong = sum(not np.array_equal(mapped(*read), decoded(*read)) for read in reads)
            result = compare(
                "loader",
                f"{side}x{side} px out of a {name} patch of up to 480 px",
                target,
                [Check("windows that differ", wrong, Bound("<=", 0))],
                1 if quick else 11,
                partial(_all, decoded, reads),
                partial(_all, mapped, reads),
            )
            results.append(result)
            results.append(
                Result(
                    "loader",
                    f"size on disk of {name} patches",
                    [encoded_bytes / mapped_bytes],
                    "x",
                    None,
                    f"plain {encoded_bytes / 2**20:.1f} MiB for {len(windows)} overlapping patches, "
                    f"ours {mapped_bytes / 2**20:.1f} MiB",
                )
            )
        return results


def _all(read: Callable[[int, int, int], RGB], reads: list[tuple[int, int, int]]) -> list[RGB]:
    return [read(*place) for place in reads]
