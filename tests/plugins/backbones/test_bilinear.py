"""Bilinear upsampling: what a SRResNet without any weight does, and Pillow's up to rounding."""

import numpy as np
import pytest
import torch
from PIL import Image

from blindsr.plugins.backbones import bilinear, srresnet


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_pillows_up_to_a_level(scale: int) -> None:
    lr = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(lr).resize((11 * scale, 9 * scale), Image.Resampling.BILINEAR), np.float32)
    made = (255 * bilinear.build(scale=scale)(torch.from_numpy(lr).permute(2, 0, 1)[None] / 255)).round()
    assert np.abs(made[0].permute(1, 2, 0).numpy() - wanted).max() <= 1


def test_it_is_what_srresnet_adds_to() -> None:
    network = srresnet.build(num_blocks=1, num_features=4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        lr = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(network(lr), bilinear.build()(lr))


def test_a_scale_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match="scale"):
        bilinear.build(scale=0)
