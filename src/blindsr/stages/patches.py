"""patches: the training images as one memory-mapped store of overlapping windows."""

from blindsr.acquisition import patch_builder
from blindsr.config.params import Params
from blindsr.data import indices
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError


def run(params: Params) -> None:
    """Write data/patches from the training set.

    Args:
        params: Settings of the project.

    Raises:
        UserError: if the set is missing, and as `patch_builder.build` does.
    """
    index = indices.read_index(params.data.train)
    if index.missing:
        raise UserError(f"{params.data.train} is missing: {index.missing}, and run `dvc repro --force fetch`")
    count = patch_builder.build(
        index.images,
        indices.set_folder(params.data.train, params.data.roots),
        paths.PATCHES,
        size=params.patches.size,
        step=params.patches.step,
        scale=params.scale,
        smallest=params.train.crop,
        state=paths.project_root() / ".patch_state",  # DVC deletes data/patches before every attempt
    )
    print(f"{count} patches of {params.patches.size} px from {len(index.images)} images")
