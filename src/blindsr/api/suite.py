"""The eight test cases as a data set: HR images, and each of them degraded in every case."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from blindsr.acquisition import folder
from blindsr.data import images, suite
from blindsr.data.images import RGB

CASES = tuple(suite.PAPER.cases)
"""clean, blur, noise, jpeg, b+n, b+j, n+j, b+n+j."""


class SuiteImage(NamedTuple):
    """One image in one case; arrays are RGB uint8."""

    name: str
    case: str
    hr: RGB
    """(H, W, 3), cropped to a multiple of the scale."""
    lr: RGB
    """(H / scale, W / scale, 3)."""


class Suite(Sequence[SuiteImage]):
    """The paper's test suite for any HR images: iterate over it, or give it to a DataLoader with batch_size=None.

    Gaussian blur 21×21 with sigma 2 (OpenCV), bicubic downscaling (Pillow), Gaussian noise of sigma 20/255, JPEG of
    quality 50 (Pillow), each of them alone and together. Noise is seeded by the suite's seed, the folder's name, the
    case and the image's name, so `blindsr score` and `blindsr suite` see the same LR images on every machine.
    Images are read when they are needed.

    Args:
        hr: A folder of HR images; or images by their names, RGB uint8 (H, W, 3).
        cases: Some of `CASES`, in any order; all without.
        scale: HR px along a side of an LR px.
        seed: Of the noise.
        benchmark: Name that seeds the noise; the folder's own without, and "images" for images by name.

    Raises:
        UserError: without a folder or images, and for an unknown case. When an image is read, for one that cannot be
            scored: damaged, transparent, of more than 8 bits a channel, or smaller than `scale`.
        ValueError: for an array of another shape or type.

    Example:
        >>> import blindsr, numpy as np
        >>> hr = np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)
        >>> suite = blindsr.Suite({"photo": hr}, cases=["clean", "b+n+j"])
        >>> for name, case, hr, lr in suite:
        ...     print(name, case, hr.shape, lr.shape)
        photo clean (68, 80, 3) (17, 20, 3)
        photo b+n+j (68, 80, 3) (17, 20, 3)
        >>> len(suite), suite[1].case
        (2, 'b+n+j')
    """

    def __init__(
        self,
        hr: str | PathLike[str] | Mapping[str, RGB],
        *,
        cases: Sequence[str] = (),
        scale: int = 4,
        seed: int = 0,
        benchmark: str = "",
    ) -> None:
        self._suite = suite.select(suite.PAPER.model_copy(update={"seed": seed}), cases)
        self.scale = scale
        self._files: Mapping[str, Path | RGB]
        if isinstance(hr, Mapping):
            for image in hr.values():
                images.require_rgb(image)
            self._files, self.benchmark = dict(hr), benchmark or "images"
        else:
            source = folder.open_folder(Path(hr))
            self._files, self.benchmark = source.files, benchmark or source.name

    @property
    def names(self) -> list[str]:
        """Of the images, in order."""
        return list(self._files)

    @property
    def cases(self) -> list[str]:
        """Of each image, in order."""
        return list(self._suite.cases)

    def __len__(self) -> int:
        """Images times cases."""
        return len(self._files) * len(self._suite.cases)

    def __getitem__(self, number: int) -> SuiteImage:  # type: ignore[override]  # no slices: images are large
        """All cases of the first image, then those of the second, and so on."""
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no image {number}: the suite has {len(self)}")
        name = self.names[number % len(self) // len(self.cases)]
        return next(iter(self._degraded(name, [self.cases[number % len(self.cases)]])))

    def __iter__(self) -> Iterator[SuiteImage]:
        """As by number, but each image is read once."""
        for name in self._files:
            yield from self._degraded(name, self.cases)

    def _degraded(self, name: str, cases: Sequence[str]) -> Iterator[SuiteImage]:
        source = self._files[name]
        hr = images.read_hr(source) if isinstance(source, Path) else source
        lrs = suite.degrade_suite(hr, suite.select(self._suite, cases), self.benchmark, name, self.scale)
        cropped = images.mod_crop(hr, self.scale)
        for case, lr in lrs.items():
            yield SuiteImage(name, case, cropped, lr)
