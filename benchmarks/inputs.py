"""What the benchmarks work on: photos that come inside the installed packages, and the paper's settings."""

import functools
import importlib.util
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from blindsr.config import conf, registry
from blindsr.config.params import Params, parse
from blindsr.data import images, patch_store
from blindsr.data.images import RGB
from blindsr.data.patch_store import PatchStore, Window
from blindsr.plugins.degradations.second_order import Drawn, SecondOrder
from blindsr.plugins.regularizers.base import LAST, Alignment, Regularizer, Step

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = {
    "skimage": ["data/astronaut.png", "data/motorcycle_left.png", "data/hubble_deep_field.jpg", "data/rocket.jpg"],
    "sklearn": ["datasets/images/china.jpg"],
}


@functools.cache
def params() -> Params:
    """The paper's settings: conf/ composed with profile=paper."""
    return parse(conf.compose(ROOT / "conf", ["profile=paper"]), "conf/")


@functools.cache
def photos() -> tuple[RGB, ...]:
    """Five photos, 427 to 1000 px a side, mod-cropped to 4; those of the packages that are installed."""
    found = []
    for package, names in PHOTOS.items():
        spec = importlib.util.find_spec(package)
        if spec is None:  # scikit-learn is only the pipeline's
            continue
        assert spec.submodule_search_locations
        found += [Path(spec.submodule_search_locations[0]) / name for name in names]
    return tuple(images.mod_crop(images.read_rgb(path), 4) for path in found)


def crops(count: int, side: int, seed: int = 0) -> Tensor:
    """Random crops of the photos in turn, (count, 3, side, side) in [0, 1]."""
    generator = np.random.default_rng(seed)
    taken = []
    for number in range(count):
        photo = photos()[number % len(photos())]
        top, left = (int(generator.integers(length - side + 1)) for length in photo.shape[:2])
        taken.append(images.to_float(np.ascontiguousarray(photo[top : top + side, left : left + side])))
    return torch.stack(taken)


@functools.cache
def degradation() -> SecondOrder:
    """The paper's."""
    made: SecondOrder = registry.build("degradation", params().degradation.name, params().degradation.settings)
    return made


def degradations(count: int, seed: int = 0) -> list[Drawn]:
    """Drawn from the paper's distribution."""
    generator, side = np.random.default_rng(seed), params().train.window
    return [degradation().draw(generator, side, side, params().scale) for _ in range(count)]


def store(folder: Path) -> PatchStore:
    """A patch store of the photos in `folder`, with the paper's patch size and step.

    Written here in the store's own format, since the pipeline builds it from a verified data set.
    """
    folder.mkdir(parents=True)
    entries, sums, offset = [], [], 0
    with (folder / patch_store.PIXELS).open("wb") as file:
        for number, photo in enumerate(photos()):
            height, width = photo.shape[:2]
            entries.append({"name": f"{number}", "height": height, "width": width, "offset": offset})
            offset += file.write(np.ascontiguousarray(photo).data)
            sums.append(zlib.crc32(np.ascontiguousarray(photo).data))
    patches = params().patches
    index = {"size": patches.size, "step": patches.step, "images": entries, "left_out": []}
    patch_store.write_index(folder, index, sums)
    return PatchStore(folder)


def windows() -> list[Window]:
    """The patches of `store`, in its order."""
    size, step = params().patches.size, params().patches.step
    return [
        Window(number, top, left, min(size, photo.shape[0]), min(size, photo.shape[1]))
        for number, photo in enumerate(photos())
        for top in patch_store.positions(photo.shape[0], size, step)
        for left in patch_store.positions(photo.shape[1], size, step)
    ]


def distance(alignment: Alignment, a: Tensor, b: Tensor) -> Tensor:
    """The penalty of two views of the features, both (N, C, H, W)."""
    return alignment.distance(a, b, _step(a, 1))


def penalty(regularizer: Regularizer, features: Tensor) -> Tensor:
    """The penalty of features (2·N, C, H, W) of two views."""
    return regularizer.penalty(_step(features, 2))


def changed(regularizer: Regularizer, features: Tensor) -> Tensor:
    """Features (N, C, H, W) as the last convolution gets them."""
    return regularizer.change_features(LAST, features, _step(features, 1))


def _step(features: Tensor, views: int) -> Step:
    image = features.new_zeros(len(features), 3, 1, 1)
    return Step(image, image[: len(features) // views], views, features={LAST: features}, sr=image)
