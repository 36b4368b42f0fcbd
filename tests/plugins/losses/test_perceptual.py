"""The perceptual loss: by hand on a trunk of known activations, its gradient, and what it refuses."""

import pytest
import torch

from blindsr.plugins import alexnet
from blindsr.plugins.losses.perceptual import Perceptual, build
from blindsr.runtime.errors import UserError


class Brightness(alexnet.Trunk):
    """Two layers that are one number each: 1 + the mean of the image in [-1, 1], and its square."""

    def forward(self, image):
        level = image.mean() + 1
        yield level.view(1, 1, 1, 1)
        yield level.square().view(1, 1, 1, 1)


@pytest.fixture
def trunk(tmp_path):
    torch.manual_seed(0)
    state = {f"features.{key}": value for key, value in alexnet.Trunk().features.state_dict().items()}
    torch.save(state, tmp_path / "alexnet.pth")
    return tmp_path / "alexnet.pth"


@pytest.mark.parametrize(("distance", "expected"), [("l1", (0.5 + 1.25) / 2), ("l2", (0.25 + 1.5625) / 2)])
def test_by_hand(distance, expected):
    """Levels of 0.75 and 0.5 in [0, 1] are 1.5 and 1 of the layers above, and 2.25 and 1."""
    sr, hr = torch.full((1, 3, 32, 32), 0.75), torch.full((1, 3, 32, 32), 0.5)
    assert Perceptual(Brightness(), distance)(sr, hr).item() == pytest.approx(expected)


def test_it_is_the_mean_of_the_layers_distances_and_its_gradient_goes_to_sr_alone(trunk):
    generator = torch.Generator().manual_seed(1)
    sr, hr = (torch.rand(2, 3, 48, 40, generator=generator).requires_grad_() for _ in range(2))
    loss = build(trunk=trunk)
    found = loss(sr, hr)
    network = alexnet.load(trunk)
    layers = [(a - b).abs().mean() for a, b in zip(network(2 * sr - 1), network(2 * hr - 1), strict=True)]
    torch.testing.assert_close(found, sum(layers) / 5)
    found.backward()
    assert sr.grad.abs().max() > 0
    assert hr.grad is None
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_equal_images_cost_nothing(trunk):
    image = torch.rand(1, 3, 31, 31)
    assert build(trunk=trunk, distance="l2")(image, image) == 0


def test_what_is_missing_or_wrong_is_one_line(trunk, tmp_path):
    with pytest.raises(UserError, match="needs AlexNet's weights, which are not here: name a set") as caught:
        build()
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no LPIPS trunk at"):
        build(trunk=tmp_path / "absent.pth")
    with pytest.raises(ValueError, match="distance must be one of l1, l2, not 'huber'"):
        build(trunk=trunk, distance="huber")
    with pytest.raises(UserError, match="31 px a side, not of 40×30: raise train.crop"):
        build(trunk=trunk)(torch.zeros(1, 3, 30, 40), torch.zeros(1, 3, 30, 40))
