"""In a worker: the machine's facts, the training images as a patch store, and where the benchmarks lie."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_check import machine, settings
from benchmarks.gpu_check.protocol import emit
from blindsr.acquisition import inspection, patch_builder
from blindsr.acquisition.catalog import Manifest, UserSource
from blindsr.runtime import parallel
from blindsr.runtime.errors import UserError

_TRAIN = ("astronaut.png", "motorcycle_left.png", "rocket.jpg", "hubble_deep_field.jpg")
_TEST = ("coffee.png", "chelsea.png")
"""Photos inside scikit-image's wheel."""
_SETS = ("Set5", "Set14")
_FEW = 8  # images of a small check


def run(folder: str, data: str | None, small: bool) -> None:
    """Emit "machine", then what could be prepared, or why it could not."""
    cuda = torch.cuda.is_available()
    emit(machine=machine.facts(), cuda=cuda, cores=parallel.usable_cores())
    here = Path(folder)
    for what, make in (("store", _store), ("images", _images)):
        try:
            made, text = make(here, Path(data) if data else None, small or not cuda)
            emit(prepared={what: made}, text=text)
        except (UserError, OSError, ValueError) as error:
            emit(problem=True, text=f"the {what}: {error}")


def _store(here: Path, data: Path | None, small: bool) -> tuple[str, str]:
    photos = data / "BSDS399" if data else _photos(_TRAIN, here / "train")
    params = settings.params(small)
    source = UserSource(kind="user", help="given to the check")
    manifest = Manifest(name=photos.name, role="train", title=photos.name, licence="not known here", sources=[source])
    if not photos.is_dir():
        raise ValueError(f"{photos} is not a folder: --data takes one with BSDS399/ and benchmarks/")
    indexed = inspection.inspect(manifest, photos).images
    indexed = indexed[:_FEW] if small else indexed
    patches = patch_builder.build(
        indexed, photos, here / "store",
        size=params.patches.size, step=params.patches.step, scale=params.scale, smallest=params.train.crop,
        state=here / "state", workers=1 if small else None,
    )  # fmt: skip
    where = "BSDS399" if data else "scikit-image"
    return str(here / "store"), f"training images: {len(indexed)} of {where}, {patches} patches"


def _images(here: Path, data: Path | None, small: bool) -> tuple[dict[str, str], str]:
    if data is None:
        folders = {"photos": _photos(_TEST, here / "test")}
    else:
        folders = {name: data / "benchmarks" / name for name in _SETS if (data / "benchmarks" / name).is_dir()}
        if not folders:
            raise ValueError(f"{data}/benchmarks has neither {' nor '.join(_SETS)}")
    counts = ", ".join(f"{name} ({sum(1 for _ in folder.iterdir())} files)" for name, folder in folders.items())
    return {name: str(folder) for name, folder in folders.items()}, f"test images: {counts}"


def _photos(names: tuple[str, ...], folder: Path) -> Path:
    """A folder of copies. Raises ValueError where scikit-image or one of the photos is not there."""
    spec: Any = importlib.util.find_spec("skimage")  # not imported: it takes a second
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("scikit-image is not installed: give a folder of images with --data")
    folder.mkdir()
    for name in names:
        shutil.copyfile(Path(spec.submodule_search_locations[0]) / "data" / name, folder / name)
    return folder
