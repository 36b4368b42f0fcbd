"""patches: the training images as one memory-mapped store of overlapping windows."""

from blindsr import paths
from blindsr.datasets import indices, patch_store
from blindsr.errors import UserError
from blindsr.params import Params
from blindsr.progress import Bar


def run(params: Params) -> None:
    """Write data/patches from the training set. Raises UserError if the set is missing or an image is broken."""
    index = indices.read_index(params.data.train)
    if index.missing:
        raise UserError(f"{params.data.train} is missing: {index.missing}, and run `dvc repro --force fetch`")
    folder = indices.set_folder(params.data.train, params.data.roots)
    with Bar("patches", len(index.images)) as bar:
        count = patch_store.build(
            [folder / image.file for image in index.images],
            paths.PATCHES,
            size=params.patches.size,
            step=params.patches.step,
            scale=params.scale,
            smallest=params.train.crop,
            advance=bar.advance,
        )
    print(f"{count} patches of {params.patches.size} px from {len(index.images)} images")
