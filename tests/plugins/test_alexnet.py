"""The trunk that LPIPS and the perceptual loss share: activations by plain torch, files of weights, bad files."""

import pytest
import safetensors.torch
import torch
from torch.nn import functional

from blindsr.plugins import alexnet
from blindsr.runtime.errors import UserError


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(7)
    return {f"features.{key}": value.contiguous() for key, value in alexnet.Trunk().features.state_dict().items()}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_activations_are_those_of_torchvisions_layers(state, suffix, tmp_path):
    path = tmp_path / f"alexnet{suffix}"
    if suffix == ".pth":
        torch.save(state | {"classifier.1.bias": torch.zeros(3)}, path)
    else:
        safetensors.torch.save_file(state, path)
    image = torch.rand(2, 3, 64, 70, generator=torch.Generator().manual_seed(0)) * 2 - 1
    # ImageNet's normalization of RGB in [0, 1]
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((image + 1) / 2 - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    expected = []
    for index, (stride, padding) in {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}.items():
        x = functional.max_pool2d(x, 3, 2) if index in (3, 6) else x
        weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
        x = functional.conv2d(x, weight, bias, stride, padding).relu()
        expected.append(x)
    found = list(alexnet.load(path)(image))
    assert [planes.shape[1] for planes in found] == list(alexnet.WIDTHS) == [64, 192, 384, 256, 256]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_weights_are_frozen_and_gradients_pass_through(state, tmp_path):
    torch.save(state, tmp_path / "alexnet.pth")
    trunk = alexnet.load(tmp_path / "alexnet.pth")
    assert not trunk.training
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    image = torch.rand(1, 3, 40, 40).requires_grad_()
    sum(planes.sum() for planes in trunk(image)).backward()
    assert image.grad.abs().max() > 0


def test_the_smallest_image_has_five_activations_and_a_smaller_one_has_not():
    trunk = alexnet.Trunk()
    assert list(trunk(torch.zeros(1, 3, alexnet.SMALLEST, alexnet.SMALLEST)))[-1].shape[2:] == (1, 1)
    with pytest.raises(RuntimeError):
        list(trunk(torch.zeros(1, 3, alexnet.SMALLEST - 1, alexnet.SMALLEST - 1)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.pth", None, "no LPIPS trunk at"),
        ("empty.pth", b"", "cannot read the LPIPS trunk"),
        ("text.pth", b"not a state dict", "cannot read the LPIPS trunk"),
        ("text.safetensors", b"not a state dict", "cannot read the LPIPS trunk"),
        ("list.pth", [1, 2], "holds a list"),
        ("part.pth", {"features.0.weight": torch.zeros(64, 3, 11, 11)}, r"no features\.0\.bias"),
        ("shape.pth", {"features.0.weight": torch.zeros(64, 3, 3, 3)}, r"\(64, 3, 3, 3\) instead of \(64, 3, 11"),
        ("number.pth", {"features.0.weight": 3}, r"no features\.0\.weight"),
    ],
)
def test_wrong_trunk_is_a_user_error(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=message) as caught:
        alexnet.load(path)
    assert "features.{0,3,6,8,10}.{weight,bias}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_network_is_a_user_error(real_data):
    with pytest.raises(UserError, match=r"features\.\{0,3,6,8,10\}"):
        alexnet.load(real_data / "weights" / "squeeze.backbone.pth")
