"""LR images as they lie on disk, with their HR images: the test suite's, those of real pairs, and photos alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from blindsr.config.params import Params
from blindsr.data import images, indices, lr_sums, pairing
from blindsr.data.images import RGB
from blindsr.data.indices import Index, IndexedImage
from blindsr.data.pairing import Side
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

REAL = "real"
"""The case of LR images that a camera, or an unknown degradation, made."""


class Pair(NamedTuple):
    """One degraded image of a benchmark, and where its original lies.

    Of images that are not `aligned`, the best shift is searched for when they are scored. A photo that is `unpaired`
    has no original, and stands in its place. The SHA-256 of both files
    are those that were recorded when they came; None where nothing was.
    """

    benchmark: str
    case: str
    image: str
    hr: Path
    lr: Path
    aligned: bool = True
    hr_sha256: str | None = None
    lr_sha256: str | None = None
    unpaired: bool = False

    def read_hr(self) -> RGB:
        """The HR image, uint8 (H, W, 3). Raises UserError if the file is not the recorded one, and as `read_hr`."""
        indices.require_same(self.hr, self.hr_sha256)
        return images.read_hr(self.hr)

    def read_lr(self) -> RGB:
        """The LR image, uint8 (H, W, 3). Raises UserError if the file is not the recorded one, and as `read_rgb`."""
        again = () if self.case == REAL else ("`blindsr verify`, then `dvc repro --force degrade`, brings it back",)
        indices.require_same(self.lr, self.lr_sha256, *again)
        return images.read_rgb(self.lr)


def all_pairs(params: Params) -> list[Pair]:
    """Every LR image of every benchmark at hand: all cases, or the real LR images.

    Args:
        params: Settings of the project.

    Returns:
        Pairs in the order of the settings. The files of the test cases need not exist yet.

    Raises:
        UserError: for a missing index, or a set of real LR images that does not fit its HR images.
    """
    pairs = []
    sums = lr_sums.read()
    for name in params.data.benchmarks:
        index, folder = indices.read_index(name), indices.set_folder(name, params.data.roots)
        if index.unpaired:
            for image in index.images:
                own = folder / image.file
                pairs.append(Pair(name, REAL, image.name, own, own, lr_sha256=image.sha256, unpaired=True))
        elif index.is_real and not index.missing:
            other = indices.read_index(index.hr) if index.hr else index
            pairs += real_pairs(index, other, folder, indices.set_folder(other.name, params.data.roots))
            continue
        for case in params.suite.cases if not index.is_real else ():
            for image in index.images:
                lr = paths.LR / name / case / f"{image.name}.png"
                made = None if sums is None else sums.get(lr_sums.name(lr), "")
                hr = folder / image.file
                pairs.append(Pair(name, case, image.name, hr, lr, hr_sha256=image.sha256, lr_sha256=made))
    return pairs


def real_pairs(lr: Index, hr: Index, lr_folder: Path, hr_folder: Path) -> list[Pair]:
    """The real LR images of a set, each with its HR image.

    Args:
        lr: Index of the LR images; it has a `pairing`.
        hr: Index of the HR images: `lr` where the set holds both.
        lr_folder: Folder of the LR set.
        hr_folder: Folder of the HR set.

    Returns:
        Pairs of the case `REAL`, in the order of the LR images.

    Raises:
        UserError: as `pairing.match`.
    """
    return [
        Pair(
            lr.name,
            REAL,
            one.name,
            hr_folder / other.file,
            lr_folder / one.file,
            lr.aligned,
            other.sha256,
            one.sha256,
        )
        for one, other in matched(lr, hr)
    ]


def require_pairs(lr: Index, hr: Index, scale: int) -> None:
    """Check, by names and sizes alone, that every real LR image has its HR image and that `scale` leads there.

    Args:
        lr: As for `real_pairs`.
        hr: Likewise.
        scale: HR px along a side of an LR px; HR sides need not be multiples of it.

    Raises:
        UserError: for LR images without HR images, as `pairing.match`, or of another size than the scale says.
    """
    for one, other in matched(lr, hr):
        if (one.width, one.height) != (other.width // scale, other.height // scale):
            sizes = f"{one.width}×{one.height} px for {other.width}×{other.height}"
            raise UserError(
                f"{lr.name}: {one.file} does not fit {other.file} at x{scale} ({sizes}): replace the pair"
            )


def groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Group the pairs of one HR image.

    Args:
        pairs: In any order.

    Returns:
        Groups, and pairs in each, in the order of first appearance.
    """
    found: dict[tuple[str, Path], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((pair.benchmark, pair.hr), []).append(pair)
    return list(found.values())


def matched(lr: Index, hr: Index) -> list[tuple[IndexedImage, IndexedImage]]:
    """Find the HR image of every real LR image.

    Args:
        lr: As for `real_pairs`.
        hr: Likewise.

    Returns:
        (LR image, HR image) of each pair, in the order of the LR images.

    Raises:
        UserError: as `pairing.match`.
    """
    assert lr.pairing is not None
    lrs, hrs = ({image.file: image for image in index.images} for index in (lr, hr))
    other = Side(hr.name, list(hrs)) if hr.name != lr.name else None
    return [(lrs[a], hrs[b]) for a, b in pairing.match(lr.pairing, Side(lr.name, list(lrs)), other)]
