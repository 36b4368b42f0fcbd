"""Exact sizes, image by image: each call against the operator itself. The other engine is held against this one."""

import numpy as np
import pytest
import torch

from blindsr.plugins.degradations.operators import blur, jpeg, noise
from blindsr.plugins.degradations.operators.blur import Kernel
from blindsr.plugins.degradations.operators.engine import Exact, Noise
from blindsr.plugins.degradations.operators.resize import resize

MIXING = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.0, 0.0, 2.0))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def streams() -> list[np.random.Generator]:
    return [np.random.default_rng(number) for number in range(4)]


def test_sizes_follow_each_image(images: torch.Tensor) -> None:
    samples = Exact(images, streams())
    assert samples.sizes == [(24, 32)] * 4
    samples.resize([0.5, (7, 9), 0.3, 1.0], ["area", "bicubic", "bilinear", "nearest"])
    assert samples.sizes == [(12, 16), (7, 9), (7, 9), (24, 32)]
    samples.resize([(6, 6), (5, 5), (4, 4), (3, 3)], ["nearest"] * 4, [3, 1])
    assert samples.sizes == [(12, 16), (5, 5), (7, 9), (3, 3)]
    samples.resize([(2, 3)] * 4, ["area"] * 4)
    assert samples.images().shape == (4, 3, 2, 3)


def test_blur_takes_the_kernel_of_each_image_and_none_leaves_it(images: torch.Tensor) -> None:
    specs = [Kernel("iso", 7, 2.0), None, Kernel("sinc", 21, cutoff=1.0), Kernel("iso", 21, 1.0)]
    kernels = blur.synthesize(specs)
    samples = Exact(images, streams())
    samples.blur(specs, kernels, [0, 1, 2])
    out = samples.images()
    assert torch.equal(out[[1, 3]], images[[1, 3]])
    torch.testing.assert_close(out[[0, 2]], blur.blur(images[[0, 2]], kernels[[0, 2]]))
    assert not torch.equal(out[0], images[0])


def test_noise_is_the_operators_with_each_image_s_generator(images: torch.Tensor) -> None:
    specs = [
        Noise("gaussian", 20.0), Noise("poisson", 0.5, grey=True), Noise("gaussian", 9.0, grey=True),
        Noise("gaussian", 25.0, mixing=MIXING),
    ]  # fmt: skip
    samples, generators = Exact(images, streams()), streams()
    samples.noise(specs)
    out = samples.images()
    for i in (0, 2, 3):
        one, image = specs[i], images[i : i + 1]
        wanted = noise.add_gaussian(image, [one.level], [one.grey], [generators[i]], [one.mixing])
        assert torch.equal(out[i : i + 1], wanted)
    assert torch.equal(out[1:2], noise.add_poisson(images[1:2], [0.5], [True], [generators[1]]))


def test_jpeg_and_clamp_clip_what_lies_outside(images: torch.Tensor) -> None:
    wide = images * 2 - 0.5
    samples = Exact(wide, streams())
    samples.jpeg([50.0, 0.0, 90.0, 0.0], [0, 2])
    samples.clamp([1])
    out = samples.images()
    assert torch.equal(out[[0]], jpeg.jpeg(wide[[0]].clamp(0, 1), [50.0]))
    assert torch.equal(out[[2]], jpeg.jpeg(wide[[2]].clamp(0, 1), [90.0]))
    assert torch.equal(out[1], wide[1].clamp(0, 1))
    assert torch.equal(out[3], wide[3])


def test_the_images_that_were_given_stay_as_they_are(images: torch.Tensor) -> None:
    before = images.clone()
    samples = Exact(images, streams())
    samples.noise([Noise("gaussian", 20.0)] * 4)
    samples.resize([0.5] * 4, ["bicubic"] * 4)
    samples.clamp()
    assert torch.equal(images, before)
    assert torch.equal(Exact(images, streams()).images(), before)
    assert not torch.equal(samples.images(), resize(before, 0.5, "bicubic"))
