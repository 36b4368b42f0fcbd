"""The five convolutions of AlexNet that LPIPS and the perceptual loss look at images with.

Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, as torchvision's
AlexNet; the scaling of the input is that of Zhang et al., "The unreasonable effectiveness of deep features as a
perceptual metric", CVPR 2018. The weights come from a file of the user.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blindsr.runtime.errors import UserError

# of torchvision's AlexNet.features: index → (in, out, kernel, stride, padding); max pooling precedes 3 and 6
_CONVOLUTIONS = {
    0: (3, 64, 11, 4, 2),
    3: (64, 192, 5, 1, 2),
    6: (192, 384, 3, 1, 1),
    8: (384, 256, 3, 1, 1),
    10: (256, 256, 3, 1, 1),
}
_POOLED = (3, 6)
_EXPECTED = "features.{0,3,6,8,10}.{weight,bias} of AlexNet"
WIDTHS = tuple(shape[1] for shape in _CONVOLUTIONS.values())
"""Channels of the five activations."""
SMALLEST = 31
"""Side of the smallest image, in px: below it nothing is left after the second pooling."""


class Trunk(nn.Module):
    """The convolutions, in eval mode and without gradients on their weights; see `load`."""

    shift: Tensor
    spread: Tensor

    def __init__(self) -> None:
        """With random weights."""
        super().__init__()
        self.features = nn.ModuleDict({str(index): nn.Conv2d(*shape) for index, shape in _CONVOLUTIONS.items()})
        # ImageNet mean and deviation of RGB, moved from [0, 1] to [-1, 1] (lpips.ScalingLayer)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)
        # a sixth less time on a CPU, most of it in the pooling; torch has no type for this overload
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Iterator[Tensor]:
        """Rectified outputs of the five convolutions, one at a time: those of a large image fill memory.

        Args:
            image: RGB (B, 3, H, W) in [-1, 1], H and W at least `SMALLEST`.
        """
        planes = ((image - self.shift) / self.spread).contiguous(memory_format=torch.channels_last)
        for index in _CONVOLUTIONS:
            if index in _POOLED:
                planes = F.max_pool2d(planes, kernel_size=3, stride=2)
            planes = F.relu(self.features[str(index)](planes))
            yield planes


def load(path: str | Path) -> Trunk:
    """The trunk with the weights of a state dict.

    Other keys of the file, as the classifier's of torchvision's alexnet-owt-7be5be79.pth, are ignored.

    Args:
        path: Of a .pth or .safetensors file.

    Raises:
        UserError: for a missing or unreadable file, missing keys or wrong shapes.
    """
    trunk = Trunk()
    state = _read(Path(path))
    found: dict[str, Tensor] = {}
    for key, parameter in trunk.features.state_dict().items():
        weight = state.get(f"features.{key}")
        if not isinstance(weight, Tensor):
            raise UserError(f"{path} has no features.{key}: an LPIPS trunk is a state dict with {_EXPECTED}")
        if weight.shape != parameter.shape:
            shapes = f"{tuple(weight.shape)} instead of {tuple(parameter.shape)}"
            raise UserError(f"{path} has features.{key} of shape {shapes}: an LPIPS trunk has {_EXPECTED}")
        found[key] = weight.float()
    trunk.features.load_state_dict(found)
    return trunk


def _read(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        raise UserError(f"no LPIPS trunk at {path}: it is a state dict with {_EXPECTED}")
    state: object
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its unpickler meets in a file that is something else
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"cannot read the LPIPS trunk {path} ({reason[:120]}): it must be a state dict with {_EXPECTED}"
        ) from error
    if not isinstance(state, Mapping):
        raise UserError(f"{path} holds a {type(state).__name__}: an LPIPS trunk is a state dict with {_EXPECTED}")
    return state
