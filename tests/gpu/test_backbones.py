"""Every network on the device against the CPU: values and gradients, at each precision that training has."""

from collections.abc import Callable

import pytest
import torch
from subjects import backbone, distance, gradients
from torch import Tensor, nn

from blindsr.config.params import Params
from blindsr.runtime import devices

pytestmark = pytest.mark.gpu
NAMES = ["srresnet", "rrdb", "msrn", "swinir"]


def lr() -> Tensor:
    return torch.rand(2, 3, 16, 12, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", NAMES)
def test_float32_is_that_of_the_cpu(
    small: Params, device: torch.device, name: str, layout: torch.memory_format, record_property: Callable
) -> None:
    network = backbone(small, name)
    wanted = gradients(network, lr(), nn.Module.__call__)
    network = network.to(memory_format=layout)
    made = gradients(network, lr().to(device, memory_format=layout), nn.Module.__call__)
    errors = [distance(*pair) for pair in zip(made, wanted, strict=True)]
    record_property("errors", [f"{error:.1e}" for error in errors])
    assert errors[0] < 5e-5
    assert errors[1] < 3e-4


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_autocast_keeps_two_digits(
    small: Params, device: torch.device, name: str, record_property: Callable
) -> None:
    def under_autocast(network: nn.Module, given: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return network(given)

    network = backbone(small, name)
    wanted = gradients(network, lr(), nn.Module.__call__)
    made = gradients(network, lr().to(device), under_autocast)
    cosine = float(torch.cosine_similarity(made[1], wanted[1], dim=0))
    record_property("error", f"{distance(made[0], wanted[0]):.1e}")
    record_property("cosine of the gradients", f"{cosine:.6f}")
    assert 0 < distance(made[0], wanted[0]) < 0.02
    assert cosine > 0.99


def test_tf32_is_off_in_float32_and_on_where_it_is_asked_for(cuda: torch.device, record_property: Callable) -> None:
    """In products of matrices; for a convolution it only may be taken. Cards before Ampere have no TF32."""
    if torch.cuda.get_device_capability(cuda) < (8, 0):
        pytest.skip("this GPU has no TF32")
    generator = torch.Generator().manual_seed(0)
    image, kernel = (torch.randn(shape, generator=generator).to(cuda) for shape in ((4, 64, 32, 32), (64, 64, 3, 3)))
    flat = torch.randn(512, 512, generator=generator).to(cuda)

    def product(cast: Callable[[Tensor], Tensor]) -> Tensor:
        return cast(flat) @ cast(flat)

    def convolution(cast: Callable[[Tensor], Tensor]) -> Tensor:
        return nn.functional.conv2d(cast(image), cast(kernel), padding=1)

    for what in (product, convolution):
        exact = what(lambda tensor: tensor.double())
        errors = {}
        for allowed in (False, True):
            with devices.tf32(allowed):
                errors[allowed] = distance(what(lambda tensor: tensor).double(), exact)
        record_property(f"{what.__name__} without and with", [f"{error:.1e}" for error in errors.values()])
        assert errors[False] < 2e-5
        assert errors[True] < 2e-3
        assert what is not product or errors[True] > 1e-4
