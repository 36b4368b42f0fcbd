"""Bicubic upsampling against Pillow's, and weights worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blindsr.data import images
from blindsr.plugins.backbones import bicubic


def picture(height, width, seed, kind="noise"):
    generator = np.random.default_rng(seed)
    if kind == "noise":
        return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "extremes":  # overshoots in both directions, which 8 bits clip between the passes
        return (255 * generator.integers(0, 2, (height, width, 3))).astype(np.uint8)
    return np.broadcast_to(generator.integers(0, 256, 3, dtype=np.uint8), (height, width, 3)).copy()


def ours(image, scale):
    return images.to_uint8(bicubic.build(scale=scale)(images.to_float(image)[None])[0])


def pillow(image, scale):
    height, width = image.shape[:2]
    return np.array(Image.fromarray(image).resize((width * scale, height * scale), Image.Resampling.BICUBIC))


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    scale=st.sampled_from([1, 2, 3, 4, 8]),
    kind=st.sampled_from(["noise", "extremes", "flat"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_agrees_with_pillow_at_any_size(height, width, scale, kind, seed):
    image = picture(height, width, seed, kind)
    difference = np.abs(ours(image, scale).astype(int) - pillow(image, scale))
    assert difference.max() <= 1
    if kind == "flat" or scale == 1:
        assert not difference.any()


@pytest.mark.parametrize("scale", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["noise", "extremes"])
def test_levels_off_pillow_are_rare_ties(scale, kind):
    image = picture(61, 47, 0, kind)
    difference = np.abs(ours(image, scale).astype(int) - pillow(image, scale))
    assert difference.mean() < (0.001 if scale == 4 else 0.01)
    border = np.concatenate([difference[: 2 * scale].ravel(), difference[:, -2 * scale :].ravel()])
    assert border.mean() < 0.02


def test_the_first_pass_is_pillows_to_the_bit():
    """An image of one row is its first pass. Near the border of narrow ones ties are common, and Pillow's own."""
    for scale in (2, 3, 4, 5):
        for seed in range(150):
            image = picture(1, 2 + seed % 7, seed)
            np.testing.assert_array_equal(ours(image, scale), pillow(image, scale))


def test_weights_by_hand():
    """A white pixel in a black row, ×2: at distances 0.25, 0.75, 1.25, 1.75 Keys' cubic (a = -0.5) gives these."""
    row = torch.zeros(1, 3, 1, 9)
    row[..., 4] = 1
    weights = [-0.0234375, -0.0703125, 0.2265625, 0.8671875]
    expected = np.floor(255 * np.array([0, 0, 0, 0, 0, *weights, *weights[::-1], 0, 0, 0, 0, 0]) + 0.5).clip(0)
    # the second pass sees a single row and weighs it with 1: what is left is the first pass, rounded
    features = bicubic.build(scale=2).upsample(row)
    assert features.shape == (1, 3, 2, 18)
    np.testing.assert_allclose(255 * features[0, 0, 0].numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(features[0, 2, 1].numpy(), features[0, 0, 0].numpy(), atol=1e-7)


def test_border_weights_are_renormalized_by_hand():
    """The column [1, 0, 0], ×2: outputs 0 and 1 lie 0.25 px above and below the centre of input 0."""
    column = torch.zeros(1, 3, 3, 1)
    column[..., 0, :] = 1
    features = bicubic.build(scale=2).upsample(column)[0, 0, :, 0]
    weight = {0.25: 0.8671875, 0.75: 0.2265625, 1.25: -0.0703125, 1.75: -0.0234375}
    # the inputs are at 0.25, 1.25 and 2.25 px from output 0, and at 0.25, 0.75 and 1.75 px from output 1
    assert features[0].item() == pytest.approx(weight[0.25] / (weight[0.25] + weight[1.25]))
    assert features[1].item() == pytest.approx(weight[0.25] / (weight[0.25] + weight[0.75] + weight[1.75]))
    assert features[5].item() == 0  # 2.25 px away


def test_features_overshoot_and_the_image_is_clamped():
    column = torch.tensor([0.0, 0, 0, 1, 1, 1]).view(1, 1, 6, 1).expand(1, 3, 6, 4)
    backbone = bicubic.build()
    features = backbone.upsample(column)
    assert features.min() < -0.02
    assert features.max() > 1.02
    sr = backbone(column)
    assert sr.min() == 0
    assert sr.max() == 1
    inside = (features > 0) & (features < 1)
    assert torch.equal(sr[inside], features[inside])


def test_mirrored_and_transposed_images_give_the_same():
    lr = images.to_float(picture(9, 7, 0))[None]
    backbone = bicubic.build()
    sr = backbone(lr)
    torch.testing.assert_close(backbone(lr.flip(-1)).flip(-1), sr, rtol=0, atol=1.1 / 255)
    torch.testing.assert_close(backbone(lr.flip(-2)).flip(-2), sr, rtol=0, atol=1.1 / 255)


def test_nothing_to_train():
    backbone = bicubic.build()
    assert not backbone.state_dict()
    assert not list(backbone.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_keeps_the_type_and_computes_in_single_precision_at_least(dtype):
    lr = images.to_float(picture(6, 5, 0))[None]
    backbone = bicubic.build()
    sr = backbone(lr.to(dtype))
    assert sr.dtype == dtype
    atol = 1e-6 if dtype == torch.float64 else 2**-7
    torch.testing.assert_close(sr.float(), backbone(lr), rtol=0, atol=atol)


def test_mixed_precision_changes_nothing():
    lr = images.to_float(picture(6, 5, 0))[None]
    backbone = bicubic.build()
    with torch.autocast("cpu", torch.bfloat16):
        sr = backbone(lr)
    assert torch.equal(sr, backbone(lr))
