"""Photos through a network: depth, grey, transparency, tiles, memory."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from blindsr.apps.photos.photos import Photo
from blindsr.apps.photos.pixels import Upscaler
from blindsr.model import architecture, inference
from blindsr.runtime import devices
from blindsr.runtime.errors import UserError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (9, 13, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (9, 13, 3), dtype=np.uint16)


class Nearest(nn.Module):
    """Each pixel four times four times; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, lr):
        self.seen.append(tuple(lr.shape))
        return F.interpolate(lr, scale_factor=4.0)


def repeated(pixels):
    return pixels.repeat(4, 0).repeat(4, 1)


@pytest.mark.parametrize("colour", [RGB, DEEP, RGB[:, :, :1], DEEP[:, :, :1]])
@pytest.mark.parametrize("tile", ["auto", None, 4])
def test_every_level_of_8_and_16_bits_comes_through(colour, tile):
    sr = Upscaler(Nearest(), 4, tile)(Photo(colour))
    assert sr.colour.dtype == colour.dtype
    np.testing.assert_array_equal(sr.colour, repeated(colour))
    assert sr.alpha is None


def test_all_65536_levels():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    np.testing.assert_array_equal(Upscaler(Nearest(), 4)(Photo(ramp)).colour, repeated(ramp))


def test_grey_is_the_luma_of_what_the_network_makes():
    class Tint(nn.Module):
        def forward(self, lr):
            return torch.ones(1, 3, *lr.shape[2:]) * torch.tensor([1.0, 0.5, 0.25]).view(3, 1, 1)

    sr = Upscaler(Tint(), 1)(Photo(RGB[:, :, :1]))
    assert (sr.colour == round(255 * (0.299 + 0.587 * 0.5 + 0.114 * 0.25))).all()


def test_transparency_goes_through_the_network_unless_it_is_even():
    alpha = RNG.integers(1, 256, (9, 13), dtype=np.uint8)
    network = Nearest()
    sr = Upscaler(network, 4)(Photo(RGB, alpha))
    np.testing.assert_array_equal(sr.colour, repeated(RGB))
    np.testing.assert_array_equal(sr.alpha, repeated(alpha))
    assert len(network.seen) == 2
    sr = Upscaler(network, 4)(Photo(RGB, np.full_like(alpha, 77)))
    assert (sr.alpha == 77).all()
    assert sr.alpha.shape == (36, 52)
    assert len(network.seen) == 3


def test_hidden_colours_leave_no_fringe():
    colour = np.zeros((4, 6, 3), np.uint8)
    colour[:, :3] = (200, 100, 50)
    alpha = np.zeros((4, 6), np.uint8)
    alpha[:, :3] = 255
    sr = Upscaler(Nearest(), 4)(Photo(colour, alpha))
    assert (sr.colour == (200, 100, 50)).all()
    hidden = Upscaler(Nearest(), 4)(Photo(colour, np.zeros_like(alpha)))
    np.testing.assert_array_equal(hidden.colour, repeated(colour))


def test_tiled_equals_whole_where_the_overlap_covers_the_receptive_field():
    torch.manual_seed(0)
    network = architecture.build_backbone("srresnet", {"num_blocks": 2, "num_features": 8}, 4)
    for parameter in network.parameters():
        parameter.data *= 3  # the initial weights are small: every convolution shall count
    photo = Photo(RNG.integers(0, 65536, (40, 52, 3), dtype=np.uint16))
    whole = Upscaler(network, 4, None)(photo).colour.astype(int)
    tiled = Upscaler(network, 4, 13, overlap=8)(photo).colour.astype(int)
    assert whole.std() > 1000
    assert np.abs(whole - tiled).max() <= 1e-4 * 65535
    seams = Upscaler(network, 4, 13, overlap=0)(photo).colour.astype(int)
    assert np.abs(whole - seams).max() > 1e-4 * 65535


def test_automatic_tiles_follow_the_free_memory(monkeypatch):
    photo = Photo(np.zeros((300, 400, 3), np.uint8))
    largest = []
    for free in (10**12, 2 * 16000 * 20000, 0):
        monkeypatch.setattr(devices, "free_bytes", lambda device, free=free: free)
        network = Nearest()
        Upscaler(network, 4, overlap=16)(photo)
        largest.append(max(shape[2] * shape[3] for shape in network.seen))
    assert largest[0] == 300 * 400
    assert 10000 < largest[1] <= 20000
    assert largest[2] <= 64 * 64


class Small(Nearest):
    """A device with room for a hundred by a hundred pixels."""

    def forward(self, lr):
        if lr.shape[2] * lr.shape[3] > 10000:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(lr)


def test_out_of_memory_is_answered_with_smaller_tiles():
    colour = RNG.integers(0, 256, (150, 200, 3), dtype=np.uint8)
    network = Small()
    np.testing.assert_array_equal(Upscaler(network, 4, overlap=16)(Photo(colour)).colour, repeated(colour))
    assert len(network.seen) > 3
    with pytest.raises(inference.OutOfMemory, match="choose a smaller tile"):
        Upscaler(Small(), 4, tile=140, overlap=16)(Photo(colour))


def test_a_memory_too_small_for_anything_is_one_line():
    class Full(Nearest):
        def forward(self, lr):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(inference.OutOfMemory):
        Upscaler(Full(), 4)(Photo(RGB))


def test_progress_counts_the_tiles_of_colour_and_transparency():
    seen = []
    alpha = RNG.integers(1, 256, (9, 13), dtype=np.uint8)
    Upscaler(Nearest(), 4, 8)(Photo(RGB, alpha), lambda done, count: seen.append((done, count)))
    assert seen == [(done, 8) for done in range(1, 9)]


def test_nan_is_no_image():
    class Diverged(nn.Module):
        def forward(self, lr):
            return lr * float("nan")

    with pytest.raises(UserError, match="NaN"):
        Upscaler(Diverged(), 1)(Photo(RGB))
