"""Tiled and whole forward passes."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from blindsr.data import images
from blindsr.model import architecture, inference
from blindsr.model.inference import AUTO_PIXELS, upscale, upscale_rgb
from blindsr.runtime.errors import UserError


class Convolutional(nn.Module):
    """Zero-padded convolutions with a receptive field of `radius` LR pixels on each side, then pixel shuffle."""

    def __init__(self, radius, scale, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        channels = [3] + [4] * radius + [3 * scale**2]
        sides = [3] * radius + [1]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, side, padding=side // 2)
            for a, b, side in zip(channels, channels[1:], sides, strict=False)
        )
        for parameter in self.parameters():
            parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
        self.scale = scale
        self.seen = []

    def forward(self, lr):
        self.seen.append((tuple(lr.shape), self.training, torch.is_grad_enabled()))
        for layer in self.layers[:-1]:
            lr = torch.tanh(layer(lr))
        return F.pixel_shuffle(self.layers[-1](lr), self.scale)


def picture(height, width, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    tile=st.integers(1, 35),
    radius=st.integers(0, 4),
    more=st.integers(0, 3),
    scale=st.integers(1, 4),
)
def test_tiled_equals_whole_when_the_overlap_covers_the_receptive_field(height, width, tile, radius, more, scale):
    network, lr = Convolutional(radius, scale), picture(height, width)
    whole = upscale(network, lr, scale)
    tiled = upscale(network, lr, scale, tile=tile, overlap=radius + more)
    assert whole.shape == (3, height * scale, width * scale)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(whole, network(lr[None])[0], rtol=0, atol=1e-6)


def test_an_overlap_below_the_receptive_field_shows():
    network, lr = Convolutional(radius=4, scale=2), picture(24, 24)
    difference = upscale(network, lr, 2, tile=8, overlap=1) - upscale(network, lr, 2)
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("network", "reach"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)), 8),  # a radius of 1
        (nn.Sequential(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(4))), 8),  # of 8
        (nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=3, dilation=3) for _ in range(3)), nn.PReLU()), 16),  # of 9
        (nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(100))), 64),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.LayerNorm(3)), 64),  # which may look anywhere
        (nn.Upsample(scale_factor=2), 64),
        (lambda lr: lr, 64),
    ],
)
def test_reach_is_the_radius_of_convolutions_and_64_of_anything_else(network, reach):
    assert inference.reach(network) == reach


@pytest.mark.parametrize("backbone", ["srresnet", "msrn"])
def test_tiles_have_what_they_need_by_themselves(backbone):
    torch.manual_seed(0)
    size = {"srresnet": {"num_blocks": 4, "num_features": 8}, "msrn": {"num_blocks": 1, "num_features": 4}}[backbone]
    network = architecture.build_backbone(backbone, size, 4)
    lr = picture(45, 50)
    whole = upscale(network, lr, 4)
    assert (upscale(network, lr, 4, tile=10) - whole).abs().max() < 1e-5
    assert (upscale(network, lr, 4, tile=10, overlap=2) - whole).abs().max() > 1e-5


def test_every_tile_has_one_shape_and_its_context():
    network = Convolutional(radius=2, scale=2)
    upscale(network, picture(21, 40), 2, tile=8, overlap=3)
    assert [shape for shape, *_ in network.seen] == [(1, 3, 14, 14)] * (3 * 5)


def test_a_tile_as_large_as_the_image_is_one_pass():
    network = Convolutional(radius=2, scale=2)
    upscale(network, picture(8, 12), 2, tile=12)
    assert [shape for shape, *_ in network.seen] == [(1, 3, 8, 12)]


def test_a_plain_function_will_do():
    lr = picture(5, 9)
    doubled = upscale(lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), lr, 2, tile=4, overlap=0)
    torch.testing.assert_close(doubled, lr.repeat_interleave(2, 1).repeat_interleave(2, 2), rtol=0, atol=0)


def test_network_runs_in_eval_without_gradients_and_keeps_its_modes():
    network = Convolutional(radius=2, scale=1).train()
    network.layers[0].eval()
    sr = upscale(network, picture(6, 6), 1)
    assert network.seen == [((1, 3, 6, 6), False, False)]
    assert [part.training for part in network.modules()] == [True, True, False, True, True]
    assert not sr.requires_grad
    assert not sr.is_inference()  # can be used in training code
    assert sr.device.type == "cpu"


def test_modes_come_back_after_an_error():
    class Failing(nn.Module):
        def forward(self, lr):
            raise RuntimeError("boom")

    network = Failing().train()
    with pytest.raises(RuntimeError, match="boom"):
        upscale(network, picture(4, 4), 2)
    assert network.training


def test_tiles_take_the_type_of_the_parameters():
    network = Convolutional(radius=1, scale=2).double()
    sr = upscale(network, picture(7, 7), 2)
    assert sr.dtype == torch.float32
    torch.testing.assert_close(sr, upscale(network.float(), picture(7, 7), 2), rtol=0, atol=1e-5)


def test_tiles_go_to_the_device_of_the_parameters():
    # the meta device stands in for an accelerator: it computes shapes and cannot be copied back
    network = Convolutional(radius=1, scale=2).to("meta")
    with pytest.raises(NotImplementedError, match="meta"):
        upscale(network, picture(7, 7), 2)
    assert network.seen


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_result_of_the_cpu():
    network, lr = Convolutional(radius=2, scale=2), picture(20, 20)
    expected = upscale(network, lr, 2)
    sr = upscale(network.cuda(), lr, 2, tile=8, overlap=2)
    assert sr.device.type == "cpu"
    torch.testing.assert_close(sr, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tile": 0}, "tile must be"), ({"tile": -4}, "tile must be"), ({"overlap": -1}, "overlap must be")],
)
def test_nonsense_is_a_user_error(options, message):
    with pytest.raises(UserError, match=message):
        upscale(Convolutional(1, 2), picture(6, 6), 2, **options)


def test_wrong_shapes_and_types():
    with pytest.raises(ValueError, match="uint8"):
        upscale(Convolutional(1, 2), torch.zeros(3, 6, 6, dtype=torch.uint8), 2)
    with pytest.raises(ValueError, match=r"\(1, 3, 6, 6\)"):
        upscale(Convolutional(1, 2), picture(6, 6)[None], 2)
    with pytest.raises(ValueError, match=r"\(1, 3, 12, 12\) instead of \(1, 3, 24, 24\)"):
        upscale(Convolutional(1, 2), picture(6, 6), 4)


def test_too_little_memory_names_the_mend():
    def greedy(lr):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match=r"smaller tile \(now the whole image\)"):
        upscale(greedy, picture(6, 6), 2)
    with pytest.raises(UserError, match=r"smaller tile \(now 4\)"):
        upscale(greedy, picture(6, 6), 2, tile=4)


def pixels(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 45), st.integers(0, 3), st.sampled_from([2, 3, 4]))
def test_8_bit_images_do_not_depend_on_an_exact_tile(height, width, tile, radius, scale):
    """A level can only differ where a value lies on the edge between two, within the rounding of floats."""
    network, lr = Convolutional(radius, scale), pixels(height, width)
    (whole,) = upscale_rgb(network, [lr], scale)
    np.testing.assert_array_equal(whole, images.to_uint8(upscale(network, images.to_float(lr), scale)))
    (tiled,) = upscale_rgb(network, [lr], scale, tile=tile, overlap=radius)
    exact = 255 * upscale(network, images.to_float(lr), scale).clamp(0, 1).permute(1, 2, 0).numpy()
    np.testing.assert_array_less(abs(tiled - exact), 0.5 + 1e-3)


def test_images_come_in_order_and_sizes_may_differ():
    network = Convolutional(radius=1, scale=2)
    lrs = [pixels(5, 7, 1), pixels(5, 7, 2), pixels(9, 4, 3)]
    for lr, sr in zip(lrs, upscale_rgb(network, lrs, 2), strict=True):
        np.testing.assert_array_equal(sr, next(upscale_rgb(network, [lr], 2)))
    assert [shape[0] for shape, *_ in network.seen] == [1] * 6  # on a CPU one image at a time


def test_alike_images_share_a_batch_where_there_is_a_gpu(monkeypatch):
    network = Convolutional(radius=1, scale=2)
    lrs = [pixels(5, 7, 1), pixels(5, 7, 2), pixels(5, 7, 3), pixels(9, 4, 4)]
    expected = list(upscale_rgb(network, lrs, 2))
    network.seen.clear()
    monkeypatch.setattr(inference, "_batch", lambda network, lrs, tile, overlap: 3 if len(lrs) == 4 else 1)
    for sr, lone in zip(upscale_rgb(network, lrs, 2, tile=4, overlap=1), expected, strict=True):
        assert abs(sr.astype(int) - lone).max() <= 1
    assert {shape[0] for shape, *_ in network.seen[:4]} == {3}


def test_batches_end_where_the_size_changes_or_memory_does():
    network = Convolutional(radius=1, scale=2).to("meta")  # stands in for a GPU
    lrs = [pixels(256, 256)] * 20 + [pixels(255, 256)]
    assert inference._batch(network, lrs, None, 0) == 8
    assert inference._batch(network, lrs[-3:], None, 0) == 2
    assert inference._batch(network, lrs, 64, 32) == 20
    assert inference._batch(network, [pixels(1200, 1200)] * 2, None, 0) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 64))
def test_automatic_tiles_are_whole_images_or_stay_within_the_bound(height, width, overlap):
    down, right = inference._sides(height, width, "auto", overlap)
    if height * width <= AUTO_PIXELS:
        assert (down, right) == (height, width)
    else:
        window = min(height, down + 2 * overlap) if down < height else height
        window *= min(width, right + 2 * overlap) if right < width else width
        assert window <= AUTO_PIXELS
        assert down % 16 == 0 or down == height
        assert right % 16 == 0 or right == width


def test_automatic_tiles_repeat_few_pixels():
    """A 2040x1400 photo in two halves, not in four quarters: 1.26 times its pixels."""
    assert inference._sides(350, 510, "auto", 32) == (350, 256)


def test_automatic_tiles_give_the_whole_image(monkeypatch):
    monkeypatch.setattr(inference, "AUTO_PIXELS", 40 * 40)
    network, lr = Convolutional(radius=3, scale=2), picture(70, 90)
    torch.testing.assert_close(
        upscale(network, lr, 2, tile="auto", overlap=4), upscale(network, lr, 2), rtol=0, atol=1e-5
    )
    assert len(network.seen) > 4


@pytest.mark.slow
def test_memory_is_bounded_by_the_tile_not_by_the_image():
    """The LR of a 4000x3000 image through a thin RRDB: whole it takes 1.6 GB, in automatic tiles a sixth of it.

    The full RRDB needs 14 kB instead of 2 for each of the 131072 LR pixels of a tile, so stays below 4 GiB.
    """
    program = """
import resource
import numpy as np
import torch
from blindsr.model import architecture, inference
from blindsr.model import architecture
torch.set_num_threads(1)
network = architecture.build_backbone("rrdb", {"num_blocks": 1, "num_features": 8, "growth": 4}, 4)
lr = np.zeros((750, 1000, 3), np.uint8)
next(inference.upscale_rgb(network, [lr[:32, :32]], 4))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sr = next(inference.upscale_rgb(network, [lr], 4, "auto", 32))
print(sr.shape, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    shape, grown = done.stdout.rsplit(" ", 1)
    assert shape == "(3000, 4000, 3)"
    assert float(grown) < 600
