"""Whether the images that are here are large enough for what later stages do with them."""

from collections.abc import Iterator
from pathlib import Path

from blindsr.config.params import Params
from blindsr.data import indices, pairs
from blindsr.data.indices import Index, IndexedImage
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

_SSIM = 11  # px of its window
_LPIPS = 31  # px that AlexNet needs


def require_large_enough(params: Params, folder: Path = paths.INDEX) -> None:
    """Refuse settings that the end of the pipeline could not follow, by the sizes that the fetch stage noted.

    Args:
        params: Settings of the project.
        folder: Of the indices; a set without one, or with none of its files, is left out.

    Raises:
        UserError: that names image, sizes and settings, for an image that could not be scored or analysed.
    """
    for name in params.data.benchmarks:
        if not (folder / f"{name}.json").is_file():
            continue
        index = indices.read_index(name, folder)
        for image, least, why in _wants(params, index, folder):
            side = min(image.width, image.height) // params.scale * params.scale
            if side < least:
                raise UserError(
                    f"{name}: {image.file} is {image.width}×{image.height} px, and {why} {least} px a side: lower "
                    "them, or take the image out"
                )


def _wants(params: Params, index: Index, folder: Path) -> Iterator[tuple[IndexedImage, int, str]]:
    """HR images of a benchmark, with the side that each needs and what needs it."""
    evaluate, analyse = params.evaluate, params.analyse
    least = 2 * evaluate.crop_border + (_SSIM if "ssim" in evaluate.metrics else 1)
    if "lpips" in evaluate.metrics and _is_here(params.data.lpips_trunk, folder):
        least = max(least, _LPIPS)
    if index.unpaired:
        return
    if not index.is_real:
        for number, image in enumerate(index.images):
            yield image, least, "evaluate.crop_border and evaluate.metrics want"
            if number < analyse.images:
                yield image, analyse.crop * params.scale, "analyse.crop wants"
    elif _is_here(index.name, folder) and _is_here(index.hr or index.name, folder):
        if not index.aligned and "psnr_shift_db" in evaluate.unaligned_metrics:
            least = max(least, 2 * (evaluate.crop_border + evaluate.max_shift) + 1)
        other = indices.read_index(index.hr, folder) if index.hr else index
        for _, image in pairs.matched(index, other):
            yield image, least, "evaluate.crop_border and evaluate.max_shift want"


def _is_here(name: str | None, folder: Path) -> bool:
    return bool(name) and (folder / f"{name}.json").is_file() and not indices.read_index(str(name), folder).missing
