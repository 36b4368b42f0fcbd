"""Tiled and whole forward passes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from blindsr.errors import UserError
from blindsr.inference import upscale


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
