"""Lanczos upsampling against Pillow's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blindsr.data import images
from blindsr.plugins.backbones import lanczos


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    scale=st.sampled_from([1, 2, 3, 4]),
    extremes=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_is_pillows_up_to_ties(height: int, width: int, scale: int, extremes: bool, seed: int) -> None:
    lr = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    lr = (lr // 128 * 255).astype(np.uint8) if extremes else lr
    wanted = np.asarray(Image.fromarray(lr).resize((width * scale, height * scale), Image.Resampling.LANCZOS))
    difference = np.abs(
        images.to_uint8(lanczos.build(scale=scale)(images.to_float(lr)[None])[0]).astype(int) - wanted
    )
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_a_scale_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match="scale"):
        lanczos.build(scale=0)


def test_images_of_a_batch_are_upsampled_each_by_itself() -> None:
    lr = torch.rand(2, 3, 6, 7)
    network = lanczos.build(scale=3)
    torch.testing.assert_close(network(lr)[1:], network(lr[1:]))
